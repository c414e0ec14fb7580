// Where everything begins: who is signed in, which page the address names, and what went wrong.

import { ApiError, request, SignedOut, signOut, whoAmI } from "./api.js";
import { button, fill, h } from "./dom.js";
import { showJob } from "./job.js";
import { showJobs } from "./jobs.js";
import { showLogin } from "./login.js";
import { showNew } from "./new.js";
import { showParked, showParkedMessage } from "./parked.js";
import { planReplay, showReplay, showReplays } from "./replays.js";
import { readAddress } from "./routes.js";
import { pause } from "./sse.js";

const PAGES = {
  jobs: { one: showJob, list: showJobs, label: "Jobs" },
  new: { list: showNew, label: "New job" },
  replays: { one: showReplay, list: showReplays, label: "Replays", operator: true },
  "plan-replay": { list: planReplay, operator: true },
  parked: { one: showParkedMessage, list: showParked, label: "Parked messages", operator: true },
};

const main = document.getElementById("main");
const notice = document.getElementById("notice");
const LOOK_AGAIN = 2000;
let caller = null;
let leaving = new AbortController();
/** What the notice says while the server cannot be reached: it is untrue as soon as that answers. */
let unreachable = false;
/** What could not be shown meanwhile. */
let waiting = null;

/** Shows the page of the current address. What the last one still does ends. */
async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const focused = main.contains(document.activeElement) ? document.activeElement.id : "";
  say("");
  navigation();
  if (caller === null) return showLogin(main, start);
  const address = readAddress(location.hash);
  const page = PAGES[address.page];
  if (!page || (page.operator && !caller.operator)) {
    return fill(main, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/jobs" }, "All jobs")));
  }
  try {
    const shown = address.id && page.one ? page.one : page.list;
    await shown(main, { ...address, caller, signal });
    if (!signal.aborted) arrive(focused);
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof SignedOut)) fill(main, h("h1", {}, "This cannot be shown"));
    if (error instanceof ApiError && error.unreachable) waiting = show;
    trouble(error);
  }
}

/** As with a page of its own: its title is told, and the keyboard is at its beginning, or still at the same control. */
function arrive(focused) {
  const heading = main.querySelector("h1");
  document.title = heading ? `${heading.textContent} – batchbus` : "batchbus";
  if (main.contains(document.activeElement)) return;
  const control = focused && document.getElementById(focused);
  (control || main).focus({ preventScroll: true });
}

function navigation() {
  const here = readAddress(location.hash).page;
  const links = Object.entries(PAGES)
    .filter(([, page]) => caller && page.label && (!page.operator || caller.operator))
    .map(([name, page]) => h("a", { href: `#/${name}`, "aria-current": name === here ? "page" : null }, page.label));
  fill(document.getElementById("nav"), links);
  const who = document.getElementById("who");
  if (caller === null) return fill(who);
  fill(
    who,
    h("span", { title: caller.operator ? "sees every job" : "sees own jobs" }, caller.user.email),
    button("Sign out", leave),
  );
}

async function leave() {
  await signOut();
  caller = null;
  await show();
}

function trouble(error) {
  if (error === null) return say("");
  if (error.name === "AbortError") return;
  if (error instanceof SignedOut && caller !== null) {
    caller = null;
    show();
  }
  say(error.message);
  if (error instanceof ApiError && error.unreachable) lookAgain();
}

function say(text) {
  notice.textContent = text;
  unreachable = false;
}

/** Asks for the server until it answers; `reached` does the rest. */
async function lookAgain() {
  unreachable = true;
  while (unreachable) {
    await pause(LOOK_AGAIN, new AbortController().signal);
    if (unreachable && !document.hidden) await request("GET", "health/live").catch(() => null);
  }
}

/** The server answers: what the notice says is over, and what could not be shown can be. */
function reached() {
  if (!unreachable) return;
  say("");
  const again = waiting;
  waiting = null;
  again?.();
}

async function start() {
  try {
    caller = await whoAmI();
  } catch (error) {
    if (error instanceof ApiError && error.unreachable) waiting = start;
    return trouble(error);
  }
  await show();
}

document.addEventListener("trouble", (event) => trouble(event.detail));
document.addEventListener("reached", reached);
window.addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // what follows the # is a page's address
  main.focus();
});
start();
