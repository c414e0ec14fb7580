// Elements, and what the pages are made of. Text always becomes a text node: no data is ever read as markup.

import { brief, cell, clock, number, pieces, words } from "./format.js";

/** An element with attributes, listeners (`onclick`, …) and children: elements, texts, lists of both, or null. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...content(children));
  return element;
}

/** Puts children in the place of those that an element has. */
export function fill(element, ...children) {
  element.replaceChildren(...content(children));
}

function content(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Text with what is in backticks as code. */
export function prose(text) {
  return pieces(text).map((part) => (part.code ? h("code", {}, part.text) : part.text));
}

export function time(value) {
  return value ? h("time", { datetime: value, title: value }, clock(value)) : "–";
}

export function badge(status) {
  return h("span", { class: `badge ${status}` }, words(status));
}

/** Beside the status of a job in which records were left out: it is no whole success. */
export function leftOut(result) {
  const left = result?.left_out;
  return typeof left === "number" && left > 0 && h("span", { class: "badge failed" }, `${number(left)} left out`);
}

/** A button that cannot be pressed again before its work is done; what goes wrong is said beside it. */
export function button(label, work, attributes = {}) {
  return h("button", { type: "button", ...attributes, onclick: (event) => busy(event.currentTarget, work) }, label);
}

/** Does some work while a control is disabled, and tells its errors where they belong: on the page. */
export async function busy(control, work) {
  control.disabled = true;
  tell(null);
  try {
    await work();
  } catch (error) {
    tell(error);
  } finally {
    control.disabled = false;
  }
}

/** Shows an error where everyone sees and hears it, or none any more; the event reaches `app.js`. */
export function tell(error) {
  document.dispatchEvent(new CustomEvent("trouble", { detail: error }));
}

/** Names and values. Those without a value are left out; null if that leaves none. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (shown.length === 0) return null;
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A table in a frame that scrolls by itself, and so has to take the keyboard's focus. */
export function table(caption, columns, rows) {
  rows.forEach((one) => label(one, columns));
  const head = h(
    "tr",
    {},
    columns.map((column) => h("th", { scope: "col" }, column)),
  );
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, rows)),
  );
}

/** Tells each cell of a row which column it is in: a phone has no room for the head of a table. */
export function label(row, columns) {
  [...row.children].forEach((one, index) => {
    one.dataset.label = columns[index] ?? "";
  });
  return row;
}

/** A value of whatever form in a cell: what has parts is told in a line, and opens. */
export function anything(value) {
  if (value === null || typeof value !== "object") return cell(value);
  const parts = Object.values(value);
  if (parts.length < 8 && parts.every((part) => typeof part !== "object")) return brief(value);
  return h("details", {}, h("summary", {}, brief(value)), h("pre", { tabindex: "0" }, JSON.stringify(value, null, 2)));
}

export function row(...cells) {
  return h(
    "tr",
    {},
    cells.map((value) => h("td", {}, value)),
  );
}

/** A control with its label, and a hint that is read with it. */
export function field(label, control, hint) {
  control.id ||= idOf(label);
  if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, label),
    control,
    hint && h("p", { class: "hint", id: `${control.id}-hint` }, hint),
  );
}

function idOf(label) {
  return `field-${label.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
}

export function select(options, chosen, attributes = {}) {
  const option = ([value, label]) => h("option", { value, selected: value === chosen }, label);
  return h("select", attributes, options.map(option));
}

/** Boxes to tick, as a group with a name. */
export function choices(legend, values, chosen, onchange = () => {}) {
  const box = (value) =>
    h("input", { type: "checkbox", id: idOf(`${legend} ${value}`), value, checked: chosen.includes(value), onchange });
  const labels = values.map((value) => h("label", { class: "chip" }, box(value), h("span", {}, words(value))));
  const group = h("fieldset", { class: "chips" }, h("legend", {}, legend), labels);
  return { group, chosen: () => [...group.querySelectorAll("input:checked")].map((input) => input.value) };
}

/** Links to the pages of a list before and after this one. */
export function pager({ offset, limit, count, address }) {
  if (count <= limit && offset === 0) return null;
  const link = (label, to, there) =>
    there
      ? h("a", { class: "button", id: `page-${label.toLowerCase()}`, href: address(to) }, label)
      : h("span", { class: "button off" }, label);
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages of the list" },
    link("Before", Math.max(0, offset - limit), offset > 0),
    h("span", {}, `${offset + 1} to ${Math.min(offset + limit, count)} of ${count}`),
    link("Next", offset + limit, offset + limit < count),
  );
}

/** Asks whether someone means it, and why if `reason` is set. Resolves to `{reason}`, or null if they do not. */
export function ask({ title, text, label, danger = false, reason = false }) {
  const why = h("textarea", { required: true, minlength: 3, maxlength: 1000, rows: 2 });
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "asked" }, title),
    h("p", {}, text),
    reason && field("Reason", why, "It is kept with your name."),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "button", onclick: () => dialog.close("") }, "Leave it"),
      h("button", { type: "submit", value: "yes", class: danger ? "danger" : "primary" }, label),
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": "asked" }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? { reason: why.value.trim() } : null);
    });
  });
}
