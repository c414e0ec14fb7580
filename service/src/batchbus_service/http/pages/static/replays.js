// Replays: plan one, run it, pause, resume and abort it, and see who did what.

import { get, post } from "./api.js";
import { ask, badge, button, busy, choices, facts, field, fill, h, pager, row, table, tell, time } from "./dom.js";
import { cell, counted, number, words } from "./format.js";
import { address } from "./routes.js";
import { pause } from "./sse.js";

const EVENTS = ["created", "pre_processed", "confirmed", "processing", "completed", "failed", "canceled", "updated"];
const STATUSES = EVENTS.slice(0, -1);
const LIMIT = 25;
const LOOK_AGAIN = 1000;

export async function showReplays(main, { query, signal }) {
  const offset = Number(query.get("offset")) || 0;
  const { replays, count, limit } = await get(`admin/replays?limit=${LIMIT}&offset=${offset}`, { signal });
  const rows = replays.map((one) =>
    row(
      h("a", { href: address("replays", one.id) }, one.reason),
      badge(one.status),
      done(one),
      target(one),
      time(one.created_at),
      one.created_by,
    ),
  );
  fill(
    main,
    h(
      "div",
      { class: "heading" },
      h("h1", {}, "Replays"),
      h("a", { class: "button primary", href: "#/plan-replay" }, "Plan a replay"),
    ),
    count === 0
      ? h("p", { class: "empty" }, "No replays yet. One gives a subscriber past events again.")
      : table("Replays, the newest first", ["Reason", "Status", "Published", "To", "Planned", "By"], rows),
    pager({ offset, limit, count, address: (to) => address("replays", "", { offset: to }) }),
  );
}

export async function planReplay(main) {
  const queue = h("input", { type: "text", maxlength: 255, required: true });
  const everyone = h("input", {
    type: "checkbox",
    onchange: () => {
      queue.disabled = everyone.checked;
    },
  });
  const since = h("input", { type: "datetime-local", step: 1 });
  const until = h("input", { type: "datetime-local", step: 1 });
  const events = choices("Events", EVENTS, []);
  const statuses = choices("Of jobs that are now", STATUSES, []);
  const types = h("input", { type: "text", spellcheck: "false" });
  const jobs = h("textarea", { rows: 2, class: "code", spellcheck: "false" });
  const rate = h("input", { type: "number", min: 1, max: 100000, value: 1000, required: true });
  const reason = h("textarea", { rows: 2, required: true, minlength: 3, maxlength: 1000 });
  const submit = h("button", { type: "submit", class: "primary" }, "Plan it");

  const onsubmit = (event) => {
    event.preventDefault();
    busy(submit, async () => {
      const selection = {
        ...(since.value && { since: new Date(since.value).toISOString() }),
        ...(until.value && { until: new Date(until.value).toISOString() }),
        types: events.chosen().map((name) => `batch.${name}`),
        statuses: statuses.chosen(),
        batch_types: listed(types.value),
        job_ids: listed(jobs.value),
      };
      const destination = everyone.checked ? { exchange: "batch.events" } : { queue: queue.value.trim() };
      const { replay } = await post("admin/replays", {
        selection,
        destination,
        reason: reason.value.trim(),
        rate: Number(rate.value),
      });
      location.hash = address("replays", replay.id);
    });
  };
  fill(
    main,
    h("p", {}, h("a", { href: "#/replays" }, "All replays")),
    h("h1", {}, "Plan a replay"),
    h("p", {}, "A plan counts the events, and publishes nothing. No job changes because its past is told again."),
    h(
      "form",
      { class: "card", onsubmit },
      field("Queue of the subscriber", queue, "It has to exist."),
      h("label", { class: "check" }, everyone, " To everyone, by the exchange batch.events"),
      h(
        "div",
        { class: "columns" },
        field("Since", since, "In your time zone; empty: from the beginning."),
        field("Until", until, "Empty: until now."),
      ),
      events.group,
      statuses.group,
      field("Batch types", types, "Separated by blanks; empty: all."),
      field("Jobs", jobs, "Their ids, separated by blanks; empty: all."),
      field("Events a second, at most", rate),
      field("Reason", reason, "It is kept with your name."),
      h("div", { class: "actions" }, submit),
    ),
  );
}

export async function showReplay(main, { id, signal }) {
  const path = `admin/replays/${encodeURIComponent(id)}`;
  const summary = h("div", {});
  const rest = h("div", {});
  const actions = h("div", { class: "actions" });
  let replay = null;

  const show = (told) => {
    const moved = replay?.status !== told.status;
    replay = told;
    fill(summary, card(told));
    fill(rest, report(told));
    if (moved) fill(actions, offers(told, act));
  };
  const act = async (verb, sent) => {
    show((await post(`${path}/${verb}`, sent)).replay);
    watch().catch(tell);
  };
  let watching = false;
  const watch = async () => {
    if (watching) return;
    watching = true;
    while (["planning", "running"].includes(replay.status) && !signal.aborted) {
      await pause(LOOK_AGAIN, signal);
      if (!signal.aborted) show((await get(path, { signal })).replay);
    }
    watching = false;
  };
  show((await get(path, { signal })).replay);
  fill(
    main,
    h("p", {}, h("a", { href: "#/replays" }, "All replays")),
    h("h1", {}, "Replay"),
    h("p", { class: "id" }, id),
    summary,
    actions,
    rest,
  );
  watch().catch(tell);
}

function offers(replay, act) {
  const does = (label, verb, { text, sent = {}, attributes = {}, danger = false }) =>
    button(
      label,
      async () => {
        if (!text || (await ask({ title: `${label}?`, text, label, danger }))) await act(verb, sent);
      },
      attributes,
    );
  const run = `${counted(replay.plan?.events ?? 0, "event")} will be published to ${target(replay)}.`;
  const abort = {
    text: "What was published stays published. It cannot be resumed.",
    attributes: { class: "danger" },
    danger: true,
  };
  const all = {
    planning: [does("Abort", "abort", abort)],
    planned: [
      does("Run", "run", { text: run, sent: { confirm: true }, attributes: { class: "primary" } }),
      does("Abort", "abort", abort),
    ],
    running: [does("Pause", "pause", {}), does("Abort", "abort", abort)],
    paused: [does("Resume", "resume", { attributes: { class: "primary" } }), does("Abort", "abort", abort)],
  };
  return all[replay.status] ?? [];
}

function card(replay) {
  const { plan, selection } = replay;
  const chosen = Object.entries(selection).map(([name, value]) => [
    words(name),
    ["since", "until"].includes(name) ? time(value) : value.map(words).join(", "),
  ]);
  const share = plan?.events ? replay.published / plan.events : 0;
  return h(
    "section",
    { class: "card" },
    h("p", {}, badge(replay.status), " ", replay.reason),
    replay.trouble && h("p", { class: "trouble" }, replay.trouble),
    plan && h("progress", { max: 1, value: share, "aria-label": "Published" }),
    h("p", { class: "state", role: "status" }, done(replay)),
    facts([["To", target(replay)], ["Events a second, at most", number(replay.rate)], ...chosen]),
  );
}

function report({ plan, audit }) {
  return [
    plan && [
      h("h2", {}, "Plan"),
      facts([
        ["Events", `${number(plan.events)} of ${counted(plan.jobs, "job")}`],
        ["From", plan.first && time(plan.first)],
        ["To", plan.last && time(plan.last)],
        ["The destination", plan.destination_exists ? null : "does not exist yet"],
        ["Messages that wait there", plan.waiting],
        ["Consumers", plan.consumers],
      ]),
      table(
        "Events by type",
        ["Event", "Number"],
        Object.entries(plan.by_type).map(([name, count]) => row(words(name), number(count))),
      ),
    ],
    h("h2", {}, "Who did what"),
    table(
      "Who did what",
      ["Time", "Who", "What", "Details"],
      audit.map((one) => row(time(one.at), one.by, one.what, details(one.details))),
    ),
  ];
}

function details(values) {
  return Object.entries(values ?? {})
    .map(([name, value]) => `${words(name)}: ${cell(value)}`)
    .join(", ");
}

function done({ published, plan }) {
  return plan ? `${number(published)} of ${counted(plan.events, "event")}` : "–";
}

function target({ destination }) {
  return destination.queue ?? `everyone (${destination.exchange})`;
}

function listed(text) {
  return text.split(/[\s,]+/).filter(Boolean);
}
