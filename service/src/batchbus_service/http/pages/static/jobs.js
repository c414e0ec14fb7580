// The list of jobs: filters, pages, and live progress.

import { get } from "./api.js";
import { badge, choices, field, fill, h, label, leftOut, pager, select, tell } from "./dom.js";
import { ENDED, ago, clock, isDryRun, percent, progressLine } from "./format.js";
import { address } from "./routes.js";
import { follow, pause } from "./sse.js";

const STATUSES = ["created", "pre_processed", "confirmed", "processing", "completed", "failed", "canceled"];
const COLUMNS = ["Job", "Status", "Progress", "Created", "By"];
const LIMIT = 25;
const POLL = 5000;
/** Milliseconds in which several events make one look at the list. */
const GATHER = 1000;

export async function showJobs(main, { query, caller, signal }) {
  const wanted = {
    status: query.getAll("status"),
    type: query.get("type") ?? "",
    offset: Number(query.get("offset")) || 0,
  };
  const here = (changed) => address("jobs", "", { ...wanted, ...changed });
  const { batch_types: types } = await get("admin/batch-types", { signal });
  const names = [...new Set([wanted.type, ...types.map((one) => one.type)].filter(Boolean))].sort();

  const filter = () => {
    location.hash = here({ status: statuses.chosen(), type: type.value, offset: 0 });
  };
  const statuses = choices("Status", STATUSES, wanted.status, filter);
  const type = select([["", "any"], ...names.map((name) => [name, name])], wanted.type, { onchange: filter });
  const list = h("div", {});
  const state = h("p", { class: "state", role: "status" });
  const view = new List(list, caller, (offset) => here({ offset }));
  fill(
    main,
    h("div", { class: "heading" }, h("h1", {}, "Jobs"), h("a", { class: "button primary", href: "#/new" }, "New job")),
    h("div", { class: "filters" }, statuses.group, field("Type", type)),
    state,
    list,
  );
  const refresh = async () => view.show(await get(`admin/batch-jobs?${listing(wanted)}`, { signal }));
  await refresh();
  const keepUp = caller.operator ? live : polled;
  keepUp({
    refresh,
    view,
    signal,
    say: (text) => {
      state.textContent = text;
    },
  }).catch(tell);
}

/** The query of the list, as the API reads it. */
export function listing({ status, type, offset }) {
  const parameters = new URLSearchParams({ limit: LIMIT, offset, expand: "created_by_user", fields: "-context" });
  status.forEach((one) => parameters.append("status[]", one));
  if (type) parameters.append("type[]", type);
  return parameters;
}

/** Operators hear of every job. A job's step is a reason to look again; its progress is shown at once. */
async function live({ refresh, view, signal, say }) {
  let due = false;
  const look = async () => {
    if (due) return;
    due = true;
    await pause(GATHER, signal);
    due = false;
    if (!signal.aborted) await refresh().catch(tell);
  };
  const onEvent = (type, event) => (type === "batch.progress" ? view.progress(event.data) : look());
  const onState = (state) => {
    say(state === "live" ? "Live" : "The connection is lost; trying again …");
    if (state === "live") look(); // what has happened in between was told to nobody
  };
  await follow("admin/events", { onEvent, onState, signal });
}

/** Others may not hear of everyone's jobs, so they look at their own again and again, while anybody sees it. */
async function polled({ refresh, signal, say }) {
  say(`Looked at every ${POLL / 1000} seconds`);
  for (;;) {
    await pause(POLL, signal);
    if (signal.aborted) return;
    if (!document.hidden) await refresh();
  }
}

class List {
  #rows = new Map();
  #body = h("tbody", {});

  constructor(element, caller, address) {
    this.element = element;
    this.address = address;
    const columns = COLUMNS.slice(0, caller.operator ? 5 : 4);
    this.operator = caller.operator;
    this.table = h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Jobs, the newest first" },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            columns.map((name) => h("th", { scope: "col" }, name)),
          ),
        ),
        this.#body,
      ),
    );
  }

  /** Rows that are there already are changed, not replaced: whoever is on a link stays there. */
  show({ batch_jobs: jobs, count, offset, limit }) {
    const rows = new Map(jobs.map((job) => [job.id, this.#rows.get(job.id) ?? new Row(job, this.operator)]));
    jobs.forEach((job) => rows.get(job.id).show(job));
    const changed = [...rows.keys()].join() !== [...this.#rows.keys()].join();
    this.#rows = rows;
    if (changed || !this.element.hasChildNodes()) {
      const focused = document.activeElement;
      fill(
        this.#body,
        [...rows.values()].map((row) => row.element),
      );
      const none = h(
        "p",
        { class: "empty" },
        "No jobs. ",
        h("a", { href: "#/new" }, "Create one"),
        ", or look for others.",
      );
      fill(this.element, count === 0 ? none : this.table, pager({ offset, limit, count, address: this.address }));
      if (focused?.isConnected && focused !== document.body) focused.focus({ preventScroll: true });
    }
  }

  progress(told) {
    this.#rows.get(told.id)?.progress(told);
  }
}

class Row {
  #status = h("td", {});
  #line = h("span", { class: "hint" });
  #bar = h("progress", { max: 1, value: 0 });
  #created = h("time", {});

  constructor(job, operator) {
    const by = job.created_by_user?.email ?? job.created_by ?? "";
    this.element = h(
      "tr",
      {},
      h("td", {}, h("a", { href: address("jobs", job.id) }, job.type), h("div", { class: "id" }, job.id)),
      this.#status,
      h("td", { class: "progress" }, this.#bar, this.#line),
      h("td", {}, this.#created),
      operator && h("td", { class: "by" }, by),
    );
    label(this.element, COLUMNS);
    this.#bar.setAttribute("aria-label", `Progress of ${job.id}`);
    this.#created.dateTime = job.created_at;
    this.#created.title = clock(job.created_at);
  }

  show(job) {
    fill(this.#status, badge(job.status), leftOut(job.result), isDryRun(job) && h("span", { class: "badge plain" }, "dry run"));
    this.#created.textContent = ago(job.created_at);
    if (job.status !== "processing" || this.status !== "processing") this.progress(job.result ?? {}, job.status);
    this.status = job.status;
  }

  progress(told, status = this.status) {
    const ended = ENDED.includes(status);
    if (ended && told.phase) return; // told late: the run that it is about is over
    const share = status === "completed" ? 1 : (told.progress ?? 0);
    this.#bar.hidden = told.progress === undefined && status !== "completed";
    this.#bar.value = share;
    this.#bar.textContent = percent(share);
    const errors = Array.isArray(told.errors) ? (told.error_count ?? told.errors.length) : told.errors;
    this.#line.textContent = progressLine({ ...told, errors, progress: ended ? undefined : told.progress });
  }
}
