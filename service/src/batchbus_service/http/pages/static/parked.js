// Parked messages: what nobody could use, why, and what becomes of it.

import { get, post } from "./api.js";
import { ask, badge, button, facts, field, fill, h, pager, row, select, table, time } from "./dom.js";
import { bytes, cell, number } from "./format.js";
import { address } from "./routes.js";

const STATES = ["parked", "requeued", "replaced", "discarded"];
const LIMIT = 25;

export async function showParked(main, { query, signal }) {
  const wanted = {
    state: STATES.includes(query.get("state")) ? query.get("state") : "parked",
    reason: query.get("reason") ?? "",
    offset: Number(query.get("offset")) || 0,
  };
  const here = (changed) => address("parked", "", { ...wanted, ...changed });
  const asked = new URLSearchParams({ state: wanted.state, offset: wanted.offset, limit: LIMIT });
  if (wanted.reason) asked.set("reason", wanted.reason);
  const { parked, count, offset, limit } = await get(`admin/parked?${asked}`, { signal });

  const filter = () => {
    location.hash = here({ state: state.value, reason: reason.value.trim(), offset: 0 });
  };
  const state = select(
    STATES.map((name) => [name, name]),
    wanted.state,
    { onchange: filter },
  );
  const reason = h("input", { type: "search", value: wanted.reason, maxlength: 1000, onchange: filter });
  const rows = parked.map((one) =>
    row(
      h("a", { href: address("parked", one.id) }, one.reason),
      one.routing_key,
      number(one.times),
      time(one.last_failed_at),
      bytes(one.size),
    ),
  );
  fill(
    main,
    h("h1", {}, "Parked messages"),
    h("div", { class: "filters" }, field("State", state), field("Reason has", reason)),
    count === 0
      ? h("p", { class: "empty" }, "There are none.")
      : table(
          "Parked messages, those that failed last first",
          ["Reason", "Routing key", "Failed", "Last", "Size"],
          rows,
        ),
    pager({ offset, limit, count, address: (to) => here({ offset: to }) }),
  );
}

export async function showParkedMessage(main, { id, signal }) {
  const path = `admin/parked/${encodeURIComponent(id)}`;
  const show = async () => {
    const { parked } = await get(path, { signal });
    fill(
      main,
      h("p", {}, h("a", { href: "#/parked" }, "All parked messages")),
      h("h1", {}, "Parked message"),
      h("p", { class: "id" }, parked.id),
      report(parked),
      offers(parked, path, show),
      payload(parked),
      parked.audit.length > 0 && [h("h2", {}, "Who did what"), audit(parked.audit)],
    );
  };
  await show();
}

function audit(deeds) {
  return table(
    "Who did what",
    ["Time", "Who", "What", "Why"],
    deeds.map((one) => row(time(one.at), one.by, one.what, one.reason)),
  );
}

function report(parked) {
  return h(
    "section",
    { class: "card" },
    h("p", {}, badge(parked.state), " ", parked.reason),
    facts([
      ["Failed", parked.times === 1 ? "once" : `${number(parked.times)} times`],
      ["First", time(parked.first_failed_at)],
      ["Last", time(parked.last_failed_at)],
      ["Routing key", parked.routing_key],
      ["Published by", parked.user_id],
      ["Message", parked.message_id],
      ["Content type", parked.content_type],
      ["Size", bytes(parked.size)],
    ]),
  );
}

function offers(parked, path, show) {
  if (parked.state !== "parked") return null;
  const edited = h("textarea", { rows: 12, class: "code", spellcheck: "false" }, parked.body ?? "");
  const deal = (label, verb, text, { danger = false, sent = () => ({}) } = {}) =>
    button(
      label,
      async () => {
        const answer = await ask({ title: `${label}?`, text, label, danger, reason: true });
        if (answer === null) return;
        await post(`${path}/${verb}`, { reason: answer.reason, ...sent() });
        await show();
      },
      { class: danger ? "danger" : null },
    );
  const copy = { sent: () => ({ body: edited.value }) };
  return [
    h(
      "div",
      { class: "actions" },
      deal("Requeue", "requeue", "It is put back as it is. If its cause is not mended, it fails again."),
      deal("Discard", "discard", "Nobody will use it. It is kept all the same, as discarded.", { danger: true }),
    ),
    parked.body !== undefined &&
      h(
        "details",
        {},
        h("summary", {}, "Put an edited copy back"),
        field("Edited payload", edited),
        deal("Requeue the copy", "requeue", "The copy is put back, and the original is kept as replaced.", copy),
      ),
  ];
}

function payload(parked) {
  const headers = Object.entries(parked.headers ?? {});
  return [
    h("h2", {}, "Payload"),
    parked.body === undefined && h("p", { class: "hint" }, "It is not text, and so shown in base 64."),
    h("pre", { tabindex: "0" }, parked.body ?? parked.body_base64),
    headers.length > 0 && [
      h("h2", {}, "Headers"),
      table(
        "Headers",
        ["Name", "Value"],
        headers.map(([name, value]) => row(name, cell(value))),
      ),
    ],
  ];
}
