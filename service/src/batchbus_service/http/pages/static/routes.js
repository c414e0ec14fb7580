// What follows the `#` in the address: `#/jobs/batch_01?offset=25` is a page, an id and what is asked for.

/** `{page, id, query}`. Without an address, the list of jobs. */
export function readAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", id = ""] = path.split("/");
  return { page: page || "jobs", id: decoded(id), query: new URLSearchParams(query) };
}

/** The address of a page. Parameters that are empty are left out, and lists are repeated. */
export function address(page, id = "", query = {}) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of [value].flat()) {
      if (one !== "" && one !== null && one !== undefined && one !== 0) parameters.append(name, one);
    }
  }
  const tail = parameters.toString();
  return `#/${page}${id ? `/${encodeURIComponent(id)}` : ""}${tail ? `?${tail}` : ""}`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
