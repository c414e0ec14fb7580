// Who somebody is: email addresses for the ids of users, each looked up once.

import { get } from "./api.js";
import { h } from "./dom.js";

const known = new Map();

/** A user by their email address, as far as whoever looks may know it; anyone else by their id. */
export function person(id, caller) {
  const shown = h("span", { title: id }, id === caller.user.id ? caller.user.email : id);
  if (caller.operator && id.startsWith("usr_") && id !== caller.user.id) {
    emailOf(id).then((email) => {
      shown.textContent = email;
    });
  }
  return shown;
}

function emailOf(id) {
  if (!known.has(id)) {
    const looked = get(`admin/users/${encodeURIComponent(id)}`).then(
      ({ user }) => user.email,
      () => id,
    ); // removed, perhaps
    known.set(id, looked);
  }
  return known.get(id);
}
