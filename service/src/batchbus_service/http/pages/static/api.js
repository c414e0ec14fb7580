// Talking to the API: credentials, errors in words, uploads and downloads. Every address is relative to the page.

const TOKEN = "batchbus-token";
const UPLOADS = "admin/uploads/protected";

/** The API refused, and says why. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /** Whether nobody answered: that may be over by the next request. */
  get unreachable() {
    return this.status === 0;
  }

  /** Whether the same request would be refused again. */
  get final() {
    return this.status >= 400 && this.status < 500 && this.status !== 429;
  }
}

/** Nobody is signed in, or not any more. */
export class SignedOut extends Error {
  constructor() {
    super("You are not signed in, or your session or token has ended.");
  }
}

/** A token is kept for this tab alone, and forgotten with it. A session is a cookie that no script can read. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** The API's answer to a request, if it is not a refusal. Throws `ApiError` or `SignedOut`. */
export async function request(method, path, { body, headers = {}, signal } = {}) {
  const sent = { ...credentials(), ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers: sent, body: JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached. Nothing was changed, as far as is known here.");
  }
  document.dispatchEvent(new CustomEvent("reached"));
  if (response.ok) return response;
  throw refusal(response.status, await response.text());
}

export const get = async (path, options) => (await request("GET", path, options)).json();
export const post = async (path, body = {}, options = {}) => (await request("POST", path, { ...options, body })).json();

/** What a refusal says, whatever form it has. */
export function refusal(status, text) {
  if (status === 401) return new SignedOut();
  try {
    const { message } = JSON.parse(text);
    if (typeof message === "string" && message) return new ApiError(status, sentence(message));
  } catch {
    // a proxy's own page, most likely: its markup tells nobody anything
  }
  return new ApiError(status, `The server answered with status ${status}, and did not say why.`);
}

/** A session for an email address and a password. */
export async function signIn(email, password) {
  token.forget();
  const headers = { "x-batchbus-pages": "1" }; // behind TLS, the cookie is of this host alone
  return (await post("admin/auth", { email, password }, { headers })).user;
}

/** Ends the session, or forgets the token, which goes on to be valid elsewhere. */
export async function signOut() {
  if (token.get()) token.forget();
  else await request("DELETE", "admin/auth");
}

/** Who is signed in: `{user, operator}`, or null. A token may allow less than its user may do. */
export async function whoAmI() {
  try {
    const { user } = await get("admin/auth");
    return { user, operator: ["admin", "operator"].includes(user.role) && (!token.get() || (await allows("admin/replays?limit=1"))) };
  } catch (error) {
    if (error instanceof SignedOut) return null;
    throw error;
  }
}

async function allows(path) {
  try {
    await request("GET", path);
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return false;
    throw error;
  }
}

/** Uploads a file, telling `onProgress` how much of it is sent, from 0 to 1. Resolves to its key. */
export function upload(file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest(); // `fetch` does not tell how much of a body is sent
    sending.open("POST", UPLOADS);
    Object.entries(credentials()).forEach(([name, value]) => sending.setRequestHeader(name, value));
    sending.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    sending.onload = () => {
      if (sending.status === 200) resolve(JSON.parse(sending.responseText).uploads[0].key);
      else reject(refusal(sending.status, sending.responseText));
    };
    sending.onerror = () =>
      reject(new ApiError(0, "The file could not be sent: the server is gone, or does not take it."));
    sending.onabort = () => reject(new DOMException("The upload was called off.", "AbortError"));
    signal.addEventListener("abort", () => sending.abort(), { once: true });
    const form = new FormData();
    form.append("files", file);
    sending.send(form);
  });
}

/** Saves an answer of the API as a file. */
export async function save(path, name) {
  if (!token.get()) return click(path, name);
  const address = URL.createObjectURL(await (await request("GET", path)).blob());
  click(address, name);
  URL.revokeObjectURL(address);
}

/** Saves a job's file, by a link that is signed for an hour. */
export async function saveFile(key) {
  const { download_url: address } = await post("admin/uploads/download-url", { file_key: key });
  const { pathname, search } = new URL(address);
  click(pathname.slice(1) + search, key.split("/").pop());
}

function click(href, download) {
  const link = Object.assign(document.createElement("a"), { href, download });
  document.body.append(link);
  link.click();
  link.remove();
}

function credentials() {
  const known = token.get();
  return known ? { "x-medusa-access-token": known } : {};
}

function sentence(message) {
  return /[.!?]$/.test(message) ? message : `${message}.`;
}
