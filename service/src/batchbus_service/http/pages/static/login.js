// Signing in: with a password, for a session, or with an API token.

import { ApiError, SignedOut, get, signIn, token, whoAmI } from "./api.js";
import { busy, field, fill, h } from "./dom.js";

/** `done` is called when someone is signed in. */
export function showLogin(main, done) {
  const email = h("input", { type: "email", name: "email", autocomplete: "username", required: true });
  const password = h("input", { type: "password", name: "password", autocomplete: "current-password", required: true });
  const secret = h("input", {
    type: "password",
    name: "token",
    autocomplete: "off",
    required: true,
    spellcheck: "false",
  });

  const withPassword = async () => {
    try {
      await signIn(email.value, password.value);
    } catch (error) {
      throw error instanceof SignedOut
        ? new ApiError(401, "This email address and password do not belong together.")
        : error;
    }
    await done();
  };
  const withToken = async () => {
    token.set(secret.value.trim());
    if ((await whoAmI()) === null) {
      token.forget();
      throw new ApiError(401, "This token lets nobody in: it is misspelt, revoked, or has ended.");
    }
    await done();
  };

  const provider = h("p", { class: "provider" });
  const offerProvider = async () => {
    const { oidc } = await get("oidc");
    if (oidc !== null) fill(provider, h("a", { href: "oidc/login", class: "button" }, `Sign in with ${oidc}`));
  };
  offerProvider().catch(() => {}); // the other two ways are there all the same

  document.title = "Sign in – batchbus";
  fill(
    main,
    h("h1", {}, "Sign in"),
    provider,
    h(
      "div",
      { class: "columns" },
      form("With a password", withPassword, [field("Email address", email), field("Password", password)]),
      form("With an API token", withToken, [
        field(
          "Token",
          secret,
          "Kept in this tab alone. The embedded default leaves one in client.env in its data folder.",
        ),
      ]),
    ),
  );
  email.focus();
}

function form(title, work, fields) {
  const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
  const onsubmit = (event) => {
    event.preventDefault();
    busy(submit, work);
  };
  return h("form", { class: "card", onsubmit }, h("h2", {}, title), fields, h("div", { class: "actions" }, submit));
}
