// What a dry run would do, row by row, in pages.

import { get } from "./api.js";
import { anything, busy, button, fill, h, row, table } from "./dom.js";
import { counted } from "./format.js";

const LIMIT = 50;
const SUMMARY = {
  completed: "Plan: what it did, row by row",
  failed: "Plan: what it was to do, row by row",
  canceled: "Plan: what it was to do, row by row",
};

/** The plan's first page, fetched when somebody opens it, with buttons for those before and after. */
export function plan(path, signal, status) {
  const page = h("div", {});
  let shown = false;

  /** `starts`: where the pages up to this one begin. One may hold less rows than asked for, so it is remembered. */
  async function show(starts) {
    const from = starts.at(-1);
    const { plan: rows, count } = await get(`${path}?limit=${LIMIT}&offset=${from}`, { signal });
    const columns = columnsOf(rows);
    const end = from + rows.length;
    const move = (label, possible, to) =>
      possible ? button(label, () => show(to)) : h("button", { type: "button", disabled: true }, label);
    fill(
      page,
      rows.length > 0
        ? table(
            "Plan",
            columns,
            rows.map((one) => row(...columns.map((name) => anything(one[name])))),
          )
        : h("p", {}, "It would do nothing."),
      h(
        "div",
        { class: "pager", role: "group", "aria-label": "Pages of the plan" },
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

  const summary = h("summary", {}, SUMMARY[status] ?? "Plan: what it will do, row by row");
  const ontoggle = () => {
    if (shown) return;
    shown = true;
    busy(summary, () => show([0]));
  };
  return h("details", { ontoggle }, summary, page);
}

/** The names in any of the rows, in the order in which they come. */
export function columnsOf(rows) {
  return [...new Set(rows.flatMap((one) => Object.keys(one)))];
}
