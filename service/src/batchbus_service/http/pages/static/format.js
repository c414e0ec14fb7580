// Numbers, times and statuses in words. Pure functions: nothing here knows of a page.

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** With thousands separated; a dash for what is not known. */
export function number(value) {
  return typeof value === "number" && Number.isFinite(value) ? NUMBER.format(value) : "–";
}

/** `1 row`, `2 rows`. */
export function counted(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** A share from 0 to 1. Rounded down, so that 100 % means done. */
export function percent(share) {
  return typeof share === "number" ? `${Math.floor(Math.min(Math.max(share, 0), 1) * 100 + 1e-9)} %` : "";
}

/** Seconds, with two units at most: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 14 min`, `3 d 4 h`. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds) || seconds < 0) return "";
  if (seconds < 9.95) return `${NUMBER.format(seconds)} s`;
  const whole = Math.round(seconds);
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/** `just now`, `5 min ago`; the clocks of two machines may differ a little. */
export function ago(time, now = Date.now()) {
  const seconds = (now - Date.parse(time)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 10) return "just now";
  if (seconds < 60) return "less than a minute ago";
  const [amount, unit] = seconds < 3600 ? [60, "min"] : seconds < 172800 ? [3600, "h"] : [86400, "days"];
  return `${Math.floor(seconds / amount)} ${unit} ago`;
}

/** In the reader's own time zone: `2026-11-22 02:48:03`. */
export function clock(time) {
  const at = new Date(time);
  if (time === null || Number.isNaN(at.getTime())) return "–";
  const two = (value) => String(value).padStart(2, "0");
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** A size: `812 B`, `1.5 KB`, `20 MB`, in powers of 1000. */
export function bytes(size) {
  if (typeof size !== "number") return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let step = 0;
  for (; size >= 999.95 && step < units.length - 1; step += 1) size /= 1000;
  return `${NUMBER.format(size)} ${units[step]}`;
}

/** How a run goes, in a line: `1,200 of 5,000 · 24 % · 350 a second · 11 s left · 2 errors`. */
export function progressLine({ advancement_count: done, count, progress, rate, seconds_left: left, errors } = {}) {
  const parts = [];
  if (typeof done === "number")
    parts.push(typeof count === "number" ? `${number(done)} of ${number(count)}` : number(done));
  if (typeof progress === "number") parts.push(percent(progress));
  if (rate > 0) parts.push(`${number(rate < 10 ? rate : Math.round(rate))} a second`);
  if (typeof left === "number") parts.push(`${duration(left)} left`);
  if (errors > 0) parts.push(counted(errors, "error"));
  return parts.join(" · ");
}

/** The terminal statuses, as the domain has them. */
export const ENDED = ["completed", "failed", "canceled"];

/** What of a file was not applied, or cannot be, in a sentence; nothing if all of it was, or will be. */
export function notApplied({ status, result }) {
  const count = result?.left_out ?? result?.operations?.error;
  if (typeof count !== "number" || count <= 0) return null;
  if (status === "failed" || status === "canceled") return `${counted(count, "record")} cannot be used. Nothing more is applied.`;
  if (status === "completed") return `${counted(count, "record")} ${count === 1 ? "was" : "were"} not applied. All others were.`;
  return `${counted(count, "record")} cannot be used, and will be left out.`;
}

/** Whether a job is a dry run still: once it was confirmed, it does what it says. */
export function isDryRun({ dry_run: dryRun, confirmed_at: confirmedAt }) {
  return Boolean(dryRun) && !confirmedAt;
}

/** What a job said that it would do, in the tense of where it is now: strategies say it before it is done. */
export function tensed(message, status) {
  const tense = { completed: "were", failed: "would have been", canceled: "would have been" }[status];
  return tense ? message.replace(/\bwill be\b/g, tense) : message;
}

/** The first of many, and how many more there are. */
export function firstOf(list, most = 20) {
  return { shown: list.slice(0, most), more: Math.max(0, list.length - most) };
}

/** A status or an event's name, as people write it. */
export function words(name) {
  return name.replace(/^batch\./, "").replaceAll("_", "-");
}

/** Text with commands in backticks, in pieces: `[{text, code}]`. */
export function pieces(text) {
  return text
    .split("`")
    .map((part, index) => ({ text: part, code: index % 2 === 1 }))
    .filter((part) => part.text !== "");
}

/** A value in a cell of a table: text as it is, everything else as JSON. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const BRIEF = 120;

/** An object or a list in a line: what is plain in it and not empty, as far as there is room. */
export function brief(value) {
  if (Array.isArray(value)) return shortened(value.map(cell).join(", ")) || "none";
  const plain = Object.entries(value).filter(([, one]) => typeof one !== "object" && one !== "");
  return shortened(plain.map(([name, one]) => `${name}: ${one}`).join(", ")) || "…";
}

function shortened(text) {
  return text.length > BRIEF ? `${text.slice(0, BRIEF)} …` : text;
}
