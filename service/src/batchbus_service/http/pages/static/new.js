// A new job: its type, the file that it works on, and what else its context takes.

import { get, post, request, save, upload } from "./api.js";
import { busy, button, field, fill, h, select } from "./dom.js";
import { bytes, percent } from "./format.js";
import { address } from "./routes.js";
import { contextOf, fieldsOf, FILE, valueOf } from "./schema.js";

export async function showNew(main, { query, signal }) {
  const { batch_types: types } = await get("admin/batch-types", { signal });
  if (types.length === 0) return fill(main, h("h1", {}, "New job"), h("p", {}, "This server has no batch types."));
  const names = types.map((one) => one.type);
  const asked = query.get("type");
  const type = select(
    names.map((name) => [name, name]),
    names.includes(asked) ? asked : names[0],
    { onchange: () => choose() },
  );
  const rest = h("div", {});
  let job = null;

  const choose = () => {
    job = new Draft(
      types.find((one) => one.type === type.value),
      signal,
    );
    fill(rest, job.elements);
  };
  const submit = h("button", { type: "submit", class: "primary" }, "Create the job");
  const onsubmit = (event) => {
    event.preventDefault();
    busy(submit, async () => {
      location.hash = address("jobs", await job.create());
    });
  };
  choose();
  fill(
    main,
    h("h1", {}, "New job"),
    h("form", { class: "card", onsubmit }, field("Type", type), rest, h("div", { class: "actions" }, submit)),
  );
}

class Draft {
  #file = h("input", { type: "file" });
  #sent = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Upload" });
  #state = h("p", { class: "hint", role: "status" });
  #more = h("textarea", { rows: 4, spellcheck: "false", class: "code", placeholder: "{}" });
  #dryRun = h("input", { type: "checkbox", checked: true });
  #controls;
  #uploaded = null;
  #attempt = null;

  constructor({ type, context_schema: schema }, signal) {
    Object.assign(this, { type, signal });
    const { fields, others, file, fileRequired } = fieldsOf(schema);
    this.#file.required = fileRequired;
    this.#controls = fields.map((one) => [one, control(one)]);
    const hint =
      others.length > 0
        ? `A JSON object. This type also takes ${others.join(", ")}.`
        : "A JSON object, for what has no field here.";
    this.elements = [
      file && [field("File", this.#file), this.#template(), this.#sent, this.#state],
      this.#controls.map(([{ name, about }, element]) => field(name, element, about)),
      h(
        "label",
        { class: "check" },
        this.#dryRun,
        " Dry run: stop when it is known what the job will do, and wait for a confirmation",
      ),
      h("details", {}, h("summary", {}, "More of the context"), field("As JSON", this.#more, hint)),
    ];
  }

  /** A link to the file to fill in, if this type has one. */
  #template() {
    const place = h("p", { class: "hint" });
    const path = `admin/batch-types/${encodeURIComponent(this.type)}/template`;
    const offer = () =>
      fill(
        place,
        button("Download the template", () => save(path, `${this.type}-template.csv`)),
      );
    request("HEAD", path, { signal: this.signal }).then(offer, () => {}); // without one, there is nothing to offer
    return place;
  }

  /** Uploads the file and creates the job; returns its id. What has been done once is not done again by a second try. */
  async create() {
    const context = contextOf(this.#more.value);
    for (const [{ name, kind }, element] of this.#controls) {
      const value = valueOf(kind, kind === "box" ? element.checked : element.value);
      if (value !== undefined) context[name] = value;
    }
    const file = this.#file.files[0];
    if (file) context[FILE] = await this.#key(file);
    const body = { type: this.type, context, dry_run: this.#dryRun.checked };
    const { batch_job: job } = await post("admin/batch-jobs", body, {
      headers: { "idempotency-key": this.#keyOf(body) },
    });
    return job.id;
  }

  async #key(file) {
    if (this.#uploaded?.file === file) return this.#uploaded.key;
    this.#sent.hidden = false;
    const onProgress = (share) => {
      this.#sent.value = share;
      this.#state.textContent = `${percent(share)} of ${bytes(file.size)} sent`;
    };
    try {
      this.#uploaded = { file, key: await upload(file, onProgress, this.signal) };
      this.#state.textContent = `${file.name} is uploaded.`;
    } catch (error) {
      this.#state.textContent = "";
      throw error;
    } finally {
      this.#sent.hidden = true;
    }
    return this.#uploaded.key;
  }

  /** The same request again, as after a lost answer, has the same key, and so makes no second job. */
  #keyOf(body) {
    const text = JSON.stringify(body);
    if (this.#attempt?.text !== text) this.#attempt = { text, key: randomKey() };
    return this.#attempt.key;
  }
}

function control({ kind, required, options, initial }) {
  switch (kind) {
    case "choice":
      return select(
        [...(required ? [] : [["", "as usual"]]), ...options.map((one) => [one, one.trim() ? one : "tab"])],
        initial ?? "",
      );
    case "box":
      return h("input", { type: "checkbox", checked: initial === true });
    case "whole":
    case "number":
      return h("input", { type: "number", step: kind === "whole" ? 1 : "any", required, value: initial });
    default:
      return h("input", { type: "text", required, value: initial });
  }
}

/** Not `crypto.randomUUID`, which a browser has on secure pages alone. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
