// What a job would do, and what became of its records: row by row, in pages, by kind and by key.

import { get, save } from "./api.js";
import { anything, busy, button, field, fill, h, row, select, table } from "./dom.js";
import { cell, counted, number } from "./format.js";

const LIMIT = 50;
const NOTHING = { plan: "It would do nothing.", outcome: "It had nothing to do." };
const SUMMARY = {
  completed: "Plan: what it did, row by row",
  failed: "Plan: what it was to do, row by row",
  canceled: "Plan: what it was to do, row by row",
};

/** The plan. `onDigest` is told of which plan the rows are that are shown. */
export function plan(path, signal, { status, name, onDigest }) {
  const summary = SUMMARY[status] ?? "Plan: what it will do, row by row";
  const shown = (told) => onDigest(told.plan_digest);
  return rowsOf(`${path}/plan`, signal, { what: "plan", kind: "kind", of: "op", summary, name, shown });
}

/** What became of each record. */
export function outcome(path, signal, { name }) {
  const summary = "Outcome: what became of each record";
  return rowsOf(`${path}/outcome`, signal, { what: "outcome", kind: "what", of: "what", summary, name, shown() {} });
}

/** The first page of rows, fetched when somebody opens it, with ways to choose among them and to those before and after. */
function rowsOf(path, signal, { what, kind, of, summary: title, name, shown }) {
  const page = h("div", {});
  const kinds = h("div", {});
  const find = h("input", { type: "search", maxlength: 200, placeholder: "Part of a key" });
  let chosen = "";
  let opened = false;

  const asked = () => {
    const query = new URLSearchParams();
    if (chosen) query.set(kind, chosen);
    if (find.value.trim()) query.set("q", find.value.trim());
    return query;
  };

  /** `starts`: where the pages up to this one begin. One may hold less rows than asked for, so it is remembered. */
  async function show(starts) {
    const from = starts.at(-1);
    const query = asked();
    query.set("limit", LIMIT);
    query.set("offset", from);
    const told = await get(`${path}?${query}`, { signal });
    const { [what]: rows, count, counts } = told;
    shown(told);
    if (counts && !kinds.hasChildNodes()) fill(kinds, kindsOf(counts));
    const end = from + rows.length;
    const move = (label, possible, to) =>
      possible ? button(label, () => show(to)) : h("button", { type: "button", disabled: true }, label);
    fill(
      page,
      rows.length > 0 ? rowTable(rows, of) : h("p", {}, asked().toString() ? "There are no such rows." : NOTHING[what]),
      h(
        "div",
        { class: "pager", role: "group", "aria-label": `Pages of the ${what}` },
        move("Before", starts.length > 1, starts.slice(0, -1)),
        h(
          "span",
          { role: "status" },
          rows.length > 0 ? `${from + 1} to ${end} of ${counted(count, "row")}` : counted(count, "row"),
        ),
        move("Next", end < count && rows.length > 0, [...starts, end]),
      ),
    );
  }

  function kindsOf(counts) {
    const options = Object.entries(counts).filter(([one, amount]) => amount > 0 || one === chosen);
    const labels = options.map(([one, amount]) => [one, `${one} (${number(amount)})`]);
    const onchange = () => {
      chosen = control.value;
      busy(control, () => show([0]));
    };
    const control = select([["", "all"], ...labels], chosen, { id: `kind-of-${what}`, onchange });
    return field("Kind", control);
  }

  const fetched = (form) => () => save(`${path}/download?${withForm(asked(), form)}`, `${name}-${what}.${form}`);
  const onsubmit = (event) => {
    event.preventDefault();
    busy(find, () => show([0]));
  };
  const choose = h(
    "form",
    { class: "filters", onsubmit, role: "search" },
    kinds,
    field("Key", find),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "submit" }, "Search"),
      button("As CSV", fetched("csv")),
      button("As JSON Lines", fetched("jsonl")),
    ),
  );
  const summary = h("summary", {}, title);
  const ontoggle = () => {
    if (opened) return;
    opened = true;
    busy(summary, () => show([0]));
  };
  find.id = `find-in-${what}`;
  return h("details", { ontoggle }, summary, choose, page);
}

function withForm(query, form) {
  query.set("format", form);
  return query;
}

/** Rows whose form is known say in words what changes; others are shown as they are. */
function rowTable(rows, of) {
  const isKnown = (one) =>
    one !== null && typeof one === "object" && of in one && ("key" in one || one.op === "reference");
  if (!rows.every(isKnown)) {
    const columns = columnsOf(rows);
    return table(
      "Rows",
      columns,
      rows.map((one) => row(...columns.map((name) => anything(one[name])))),
    );
  }
  const told = (one) => (of === "op" ? changesOf(one) : [one.reason ?? one.id ?? ""]);
  return table(
    "Rows",
    ["Line", "Key", "What", of === "op" ? "Changes" : "Where, or why not"],
    rows.map((one) =>
      row(
        cell(one.line),
        [one.key ?? []].flat().join(" "),
        one[of],
        told(one).map((text) => h("div", {}, text)),
      ),
    ),
  );
}

/** What a row of a plan says in words: `price 24.90 → 22.90`, a text for each field or error. */
export function changesOf(one) {
  const errors = (list) => (list ?? []).map((error) => `${error.column ?? "row"}: ${error.message}`);
  const side = (change, name) => (name in change ? cell(change[name]) || '""' : "nothing");
  switch (one.op) {
    case "update":
      return [
        ...Object.entries(one.changes ?? {}).map(
          ([path, change]) => `${path} ${side(change, "old")} → ${side(change, "new")}`,
        ),
        ...errors(one.left_out),
      ];
    case "error":
      return errors(one.errors);
    case "create":
    case "reference":
      return Object.entries(one.document ?? {})
        .filter(([, value]) => cell(value) !== "")
        .map(([name, value]) => `${name} ${cell(value)}`);
    default:
      return [];
  }
}

/** The names in any of the rows, in the order in which they come. */
export function columnsOf(rows) {
  return [...new Set(rows.flatMap((one) => Object.keys(one)))];
}
