// One job: where it stands and why, how it goes, what can be done, what it would do, and what has happened.

import { get, post, save, saveFile, upload } from "./api.js";
import { ask, badge, busy, button, facts, fill, h, leftOut, prose, row, table, tell, time } from "./dom.js";
import { ENDED, bytes, cell, firstOf, isDryRun, notApplied, number, percent } from "./format.js";
import { progressLine, tensed, words } from "./format.js";
import { person } from "./people.js";
import { outcome, plan } from "./plan.js";
import { address } from "./routes.js";
import { follow } from "./sse.js";

export async function showJob(main, { id, caller, signal }) {
  const view = new JobView(main, `admin/batch-jobs/${encodeURIComponent(id)}`, caller, signal);
  await view.load();
  view.follow();
}

class JobView {
  #kind = h("span", {});
  #status = h("div", { class: "standing", role: "status" });
  #actions = h("div", { class: "actions" });
  #bar = h("progress", { max: 1, "aria-label": "Progress of this phase" });
  #line = h("p", { class: "state" });
  #result = h("section", {});
  #plan = h("section", {});
  #outcome = h("section", {});
  #history = h("section", {});
  #asked = h("pre", { tabindex: "0" });
  /** The digest of the plan whose rows are shown: what is confirmed. */
  #planShown = null;
  #streaming = false;
  #loading = null;
  #again = false;
  #shown = new Map();
  /** The status that the stream told last: after the last one, its end is no surprise. */
  #heard = null;

  constructor(main, path, caller, signal) {
    Object.assign(this, { main, path, caller, signal });
  }

  /** Reads the job and its history. Whoever asks while that is under way gets it read once more. */
  async load() {
    if (this.#loading) {
      this.#again = true;
      return this.#loading;
    }
    this.#loading = this.#read();
    try {
      await this.#loading;
    } finally {
      this.#loading = null;
    }
    if (this.#again && !this.signal.aborted) {
      this.#again = false;
      await this.load();
    }
  }

  async #read() {
    const { signal } = this;
    const [{ batch_job: job }, told] = await Promise.all([
      get(this.path, { signal }),
      get(`${this.path}/history`, { signal }),
    ]);
    const first = this.job === undefined;
    this.job = job;
    if (first) this.#frame();
    this.sequence = told.history.length;
    this.#put(this.#kind, isDryRun(job), (dry) => dry && h("span", { class: "badge plain" }, "dry run"));
    this.#put(this.#status, [job.status, told.why, told.way_out, job.result?.left_out], () => standing(job, told));
    this.#put(this.#actions, [job.status, job.confirmed_at], () => this.#offers());
    this.#put(this.#result, [job.result, job.status, told.error_file], () => result(job, this.path, told.error_file));
    const onDigest = (digest) => {
      this.#planShown = digest;
    };
    const rows = { status: job.status, name: job.id, onDigest };
    const planned = [told.plan, ENDED.includes(job.status) && job.status, job.pre_processed_at];
    this.#put(this.#plan, planned, ([ready]) => {
      this.#planShown = null;
      return ready && plan(this.path, signal, rows);
    });
    this.#put(this.#outcome, [told.outcome, job.status], ([ready]) => ready && outcome(this.path, signal, rows));
    this.#put(this.#asked, job.context, (context) => JSON.stringify(context, null, 2));
    this.#put(this.#history, told.history, (entries) => history(entries, this.caller));
    this.progress(job.result ?? {});
  }

  /** Changes a part of the page only if what it is about has changed: nobody loses their place, or hears the same twice. */
  #put(element, about, build) {
    const text = JSON.stringify(about);
    if (this.#shown.get(element) === text) return;
    this.#shown.set(element, text);
    fill(element, build(about));
  }

  #frame() {
    const { job } = this;
    fill(
      this.main,
      h("p", {}, h("a", { href: "#/jobs" }, "All jobs")),
      h(
        "div",
        { class: "heading" },
        h("h1", {}, job.type),
        this.#kind,
      ),
      h("p", { class: "id" }, job.id),
      h("section", { class: "card" }, this.#status, this.#bar, this.#line, this.#actions),
      this.#result,
      this.#plan,
      this.#outcome,
      this.#history,
      h(
        "details",
        {},
        h("summary", {}, "What was asked for"),
        this.#asked,
      ),
    );
  }

  /** The buttons for what the status allows. */
  #offers() {
    const { status, confirmed_at: confirmed } = this.job;
    const does = (label, verb, question, attributes, danger, body = () => ({})) =>
      button(
        label,
        async () => {
          const sent = body(); // of what is shown now: the job may change while the question stands there
          const text = typeof question === "function" ? question() : question;
          if ((await ask({ title: `${label}?`, text, label, danger })) === null) return;
          await post(`${this.path}/${verb}`, sent);
          await this.load();
          this.follow();
        },
        attributes,
      );
    return [
      status === "pre_processed" &&
        does("Confirm", "confirm", () => whatItDoes(this.job), { class: "primary" }, false, () => {
          const digest = this.#planShown ?? this.job.result?.plan_digest;
          return typeof digest === "string" ? { plan_digest: digest } : {};
        }),
      !ENDED.includes(status) &&
        does(
          "Cancel the job",
          "cancel",
          "A run stops at its next chunk. What it has done until then stays done.",
          { class: "danger" },
          true,
        ),
      ...(["failed", "canceled"].includes(status) && confirmed ? this.#tryAgain(does) : []),
      ...(["pre_processed", "failed", "canceled"].includes(status) && !confirmed ? this.#checkAgain(does) : []),
    ];
  }

  /** What was never confirmed can be checked anew: its file as it was uploaded, or one that is mended. */
  #checkAgain(does) {
    const { context, dry_run: dryRun } = this.job;
    const then = dryRun ? "" : " The job is no dry run: it then goes on by itself.";
    const again = does("Check again", "check-again", `The plan is made anew; the earlier one is kept.${then}`, {}, false);
    if (typeof context?.fileKey !== "string") return [again];
    const input = h("input", { type: "file", hidden: true, "aria-label": "Another file" });
    const other = h("button", { type: "button", onclick: () => input.click() }, "Check another file");
    input.onchange = () =>
      busy(other, async () => {
        const sent = (share) => {
          this.#line.textContent = `Uploading: ${percent(share)}`;
        };
        const fileKey = await upload(input.files[0], sent, this.signal);
        await post(`${this.path}/check-again`, { fileKey });
        await this.load();
        this.follow();
      });
    return [other, input, again];
  }

  /** A retry reads the same file again: with another one it is another job. */
  #tryAgain(does) {
    const { type, context, status } = this.job;
    const goesOn = "The job goes on from its last checkpoint, or begins anew if it has none.";
    if (typeof context?.fileKey !== "string") return [does("Retry", "retry", goesOn, { class: "primary" }, false)];
    const other = h("a", { class: "button primary", href: address("new", "", { type }) }, "New job with another file");
    const same = `${goesOn} It reads the same file again, as it was uploaded: what is wrong in it stays wrong.`;
    const retry = does("Retry with the same file", "retry", same, {}, false);
    return status === "failed" ? [other, retry] : [retry, other];
  }

  progress(told) {
    const ended = ENDED.includes(this.job.status);
    if (ended && told.phase) return; // told late: the run that it is about is over
    const share = this.job.status === "completed" ? 1 : told.progress;
    this.#bar.hidden = typeof share !== "number";
    if (typeof share === "number") {
      this.#bar.value = share;
      this.#bar.textContent = percent(share);
    }
    const phase = told.phase === "pre_process" ? "Pre-processing: " : "";
    const errors = Array.isArray(told.errors) ? (told.error_count ?? told.errors.length) : told.errors;
    const line = progressLine({ ...told, errors, progress: ended ? undefined : told.progress });
    this.#line.textContent = [phase + line, told.message].filter(Boolean).join(" – ");
  }

  /** Follows the job until its end; a retry begins anew. */
  follow() {
    if (this.#streaming) return;
    this.#streaming = true;
    this.#heard = this.job.status;
    const onEvent = (type, event) => {
      this.#heard = event.data.status ?? this.#heard;
      if (type === "batch.progress") this.progress(event.data);
      else if (Number(event.sequence) > this.sequence) this.load().catch(tell);
    };
    const onState = (state) => {
      this.#line.classList.toggle("lost", state === "waiting" && !ENDED.includes(this.#heard));
      if (state === "over") this.load().catch(tell); // the run of a canceled job may have ended since
    };
    follow(`${this.path}/events`, { lastId: String(this.sequence), onEvent, onState, signal: this.signal })
      .catch(tell)
      .finally(() => {
        this.#streaming = false;
      });
  }
}

/** What a confirmation lets the job do, with the numbers of its plan where they are known. */
function whatItDoes({ result }) {
  const kinds = Object.entries(result?.operations ?? {}).filter(([, amount]) => amount > 0);
  const numbers = kinds.map(([kind, amount]) => `${number(amount)} ${words(kind)}`).join(", ");
  return `The job then does what its plan says${numbers ? `: ${numbers}` : ""}.`;
}

function standing(job, { why, way_out: wayOut }) {
  return [h("p", {}, badge(job.status), leftOut(job.result), " ", prose(why)), wayOut && h("p", { class: "hint" }, prose(wayOut))];
}

/** What has come of it: numbers, the file to fetch, and the records that could not be used. */
function result(job, path, errorFile) {
  const { result: told } = job;
  if (!told) return null;
  const { errors = [], warnings = [], stat_descriptors: described, file_key: file } = told;
  const count = told.error_count ?? errors.length;
  return [
    described?.length > 0 && facts(described.map((one) => [one.name, tensed(one.message, job.status)])),
    facts([
      ["Records", typeof told.count === "number" ? number(told.count) : null],
      ["Done", typeof told.advancement_count === "number" ? number(told.advancement_count) : null],
      ["File", file && button(`Download (${bytes(told.file_size)})`, () => saveFile(file))],
    ]),
    leftOver(job, path, errorFile),
    warned(Array.isArray(warnings) ? warnings : [warnings]),
    errors.length > 0 && [
      h(
        "div",
        { class: "heading" },
        h("h2", {}, `Errors (${number(count)})`),
        button("All row errors as CSV", () => save(`${path}/errors`, `${job.id}-errors.csv`)),
      ),
      errorTable(errors),
    ],
  ];
}

/** What of the file was not applied, as a file to mend and send again. */
function leftOver(job, path, errorFile) {
  const sentence = notApplied(job);
  if (!sentence && !errorFile) return null;
  return [
    sentence && h("p", { class: "hint" }, h("strong", {}, sentence)),
    errorFile && [
      h("p", {}, "They come back as they were uploaded, with what is wrong in the column ", h("code", {}, "_errors"), "."),
      h(
        "div",
        { class: "actions" },
        button("Download what was not applied", () => save(`${path}/error-file`, errorFile)),
        h("a", { class: "button", href: address("new", "", { type: job.type }) }, "Send it mended"),
      ),
    ],
  ];
}

/** What was skipped, and why: nobody is to find out from the shop. */
function warned(warnings) {
  if (warnings.length === 0) return null;
  const { shown, more } = firstOf(warnings);
  return [
    h("h2", {}, `Warnings (${number(warnings.length)})`),
    h("ul", { class: "warnings" }, shown.map((one) => h("li", {}, cell(one)))),
    more > 0 && h("p", { class: "hint" }, `And ${number(more)} more.`),
  ];
}

function errorTable(errors) {
  const columns = ["line", "column", "code", "message", "value"].filter((name) =>
    errors.some((error) => cell(error[name] ?? null) !== ""),
  );
  const rows = errors.map((error) =>
    typeof error === "object" && error !== null ? row(...columns.map((name) => cell(error[name]))) : row(cell(error)),
  );
  return table("Errors", columns.length > 0 ? columns : ["message"], rows);
}

function history(entries, caller) {
  const numbers = (data) => data.error ?? data.reason ?? progressLine(data);
  const rows = entries.map((entry) =>
    row(
      number(entry.sequence),
      words(entry.type),
      time(entry.time),
      numbers(entry.data),
      entry.data.by ? person(entry.data.by, caller) : "",
      entry.published ? "yes" : "not yet",
    ),
  );
  return [h("h2", {}, "History"), table("History", ["No.", "Event", "Time", "How far", "By", "Published"], rows)];
}
