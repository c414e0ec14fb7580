// The pages' pure functions, in Node. The folder of the pages is the first argument after the name of this file's runner.

import assert from "node:assert/strict";
import { test } from "node:test";

const pages = process.env.PAGES;
const format = await import(`${pages}/format.js`);
const { brief, bytes, cell, clock, counted, duration, number, percent, pieces, progressLine, ago, words } = format;
const { firstOf, isDryRun, notApplied, tensed } = format;
const { address, readAddress } = await import(`${pages}/routes.js`);
const { contextOf, fieldsOf, valueOf } = await import(`${pages}/schema.js`);
const { EventParser } = await import(`${pages}/sse.js`);
const { ApiError, refusal, SignedOut } = await import(`${pages}/api.js`);
const { listing } = await import(`${pages}/jobs.js`);
const { changesOf, columnsOf } = await import(`${pages}/plan.js`);

test("durations have two units at most", () => {
  const told = [0, 0.44, 9.94, 9.96, 59.4, 59.6, 60, 185, 3600, 8040, 86400, 273600].map(duration);
  assert.deepEqual(told, [
    "0 s",
    "0.4 s",
    "9.9 s",
    "10 s",
    "59 s",
    "1 min",
    "1 min",
    "3 min 5 s",
    "1 h",
    "2 h 14 min",
    "1 d",
    "3 d 4 h",
  ]);
  assert.deepEqual([null, undefined, NaN, -1, Infinity].map(duration), ["", "", "", "", ""]);
});

test("only what is done is 100 %", () => {
  assert.deepEqual([0, 0.29, 0.999999, 1, 1.2, -1].map(percent), ["0 %", "29 %", "99 %", "100 %", "100 %", "0 %"]);
  assert.equal(percent(null), "");
});

test("what was not applied is said in a sentence, and nothing where all was", () => {
  const said = (status, result) => notApplied({ status, result });
  assert.equal(said("completed", { left_out: 2 }), "2 records were not applied. All others were.");
  assert.equal(said("completed", { left_out: 1, operations: { error: 0 } }), "1 record was not applied. All others were.");
  assert.equal(said("pre_processed", { operations: { error: 3 } }), "3 records cannot be used, and will be left out.");
  assert.equal(said("failed", { operations: { error: 3 } }), "3 records cannot be used. Nothing more is applied.");
  assert.deepEqual([said("completed", {}), said("created", undefined), said("completed", { left_out: 0 })], [null, null, null]);
});

test("numbers and sizes are easy to read", () => {
  assert.deepEqual(
    [number(1234567), number(null), counted(1, "row"), counted(2000, "row")],
    ["1,234,567", "–", "1 row", "2,000 rows"],
  );
  assert.deepEqual([0, 999, 1000, 1536, 999_950, 20_000_000].map(bytes), [
    "0 B",
    "999 B",
    "1 KB",
    "1.5 KB",
    "1 MB",
    "20 MB",
  ]);
});

test("progress is a line with as much as is known", () => {
  const told = { advancement_count: 1200, count: 5000, progress: 0.24, rate: 350.4, seconds_left: 11, errors: 2 };
  assert.equal(progressLine(told), "1,200 of 5,000 · 24 % · 350 a second · 11 s left · 2 errors");
  assert.equal(progressLine({ advancement_count: 7, rate: 0, errors: 0, progress: null, count: null }), "7");
  assert.equal(progressLine(), "");
});

test("times are told from now, whatever the clocks say", () => {
  const now = Date.parse("2026-03-01T12:00:00Z");
  const told = [
    "2026-03-01T12:00:05Z",
    "2026-03-01T11:59:30Z",
    "2026-03-01T11:55:00Z",
    "2026-03-01T09:00:00Z",
    "2026-02-20T12:00:00Z",
  ];
  assert.deepEqual(
    told.map((time) => ago(time, now)),
    ["just now", "less than a minute ago", "5 min ago", "3 h ago", "9 days ago"],
  );
  assert.match(clock("2026-03-01T12:00:00.000Z"), /^2026-0[23]-\d\d \d\d:\d\d:00$/);
  assert.deepEqual([clock(null), clock("never")], ["–", "–"]);
});

test("a job is a dry run until it is confirmed", () => {
  const told = [
    { dry_run: true, confirmed_at: null },
    { dry_run: true, confirmed_at: "2026-03-01T12:00:00Z" },
    { dry_run: false, confirmed_at: null },
    { dry_run: true },
  ];
  assert.deepEqual(told.map(isDryRun), [true, false, false, true]);
});

test("what a job said beforehand is told in the tense of where it is now", () => {
  const said = "There will be 1 products created (0  updated).\n 2 variants will be created and 0 updated";
  assert.equal(tensed(said, "pre_processed"), said);
  assert.equal(tensed(said, "processing"), said);
  assert.equal(
    tensed(said, "completed"),
    "There were 1 products created (0  updated).\n 2 variants were created and 0 updated",
  );
  assert.match(tensed(said, "failed"), /^There would have been 1 products created/);
});

test("of many warnings the first are shown, and how many more there are", () => {
  assert.deepEqual(firstOf([1, 2]), { shown: [1, 2], more: 0 });
  assert.deepEqual(firstOf([1, 2, 3], 2), { shown: [1, 2], more: 1 });
});

test("that nobody answered may be over by the next request", () => {
  assert.deepEqual([new ApiError(0, "").unreachable, new ApiError(503, "").unreachable], [true, false]);
});

test("names and commands are told as people write them", () => {
  assert.deepEqual([words("batch.pre_processed"), words("completed")], ["pre-processed", "completed"]);
  assert.deepEqual(pieces("Use `batchbus retry X`."), [
    { text: "Use ", code: false },
    { text: "batchbus retry X", code: true },
    { text: ".", code: false },
  ]);
});

test("any value fits into a cell", () => {
  assert.deepEqual([null, undefined, 0, false, "<b>", { a: 1 }].map(cell), ["", "", "0", "false", "<b>", '{"a":1}']);
  assert.equal(brief({ handle: "bowl", subtitle: null, note: "", variants: [1] }), "handle: bowl");
  assert.deepEqual([brief([1, "a"]), brief([]), brief({ deep: {} })], ["1, a", "none", "…"]);
  assert.equal(brief(["x".repeat(500)]).length, 122);
  assert.deepEqual(
    columnsOf([
      { op: 1, line: 2 },
      { line: 3, product: {} },
    ]),
    ["op", "line", "product"],
  );
});

test("a row of a plan says in words what changes", () => {
  const changes = { price: { old: 2490, new: 2290 }, note: { new: "x" }, tags: { old: ["a"] } };
  const left = [{ line: 2, column: "VAT", message: "is taken" }];
  assert.deepEqual(changesOf({ op: "update", changes, left_out: left }), [
    "price 2490 → 2290",
    "note nothing → x",
    'tags ["a"] → nothing',
    "VAT: is taken",
  ]);
  assert.deepEqual(changesOf({ op: "create", document: { name: "Bowl", note: null } }), ["name Bowl"]);
  assert.deepEqual(changesOf({ op: "error", errors: [{ column: null, message: "is empty" }] }), ["row: is empty"]);
  assert.deepEqual(changesOf({ op: "unchanged", id: "a" }), []);
});

test("an address is read as it was written", () => {
  const written = address("jobs", "batch_01/%", { status: ["failed", "canceled"], type: "", offset: 25 });
  assert.equal(written, "#/jobs/batch_01%2F%25?status=failed&status=canceled&offset=25");
  const { page, id, query } = readAddress(written);
  assert.deepEqual(
    [page, id, query.getAll("status"), query.get("offset")],
    ["jobs", "batch_01/%", ["failed", "canceled"], "25"],
  );
  assert.deepEqual([readAddress("").page, readAddress("#/").page, readAddress("#/jobs/%").id], ["jobs", "jobs", "%"]);
});

test("the list is asked for as the API reads it", () => {
  const asked = listing({ status: ["failed", "canceled"], type: "product-import", offset: 50 }).toString();
  assert.equal(
    decodeURIComponent(asked),
    "limit=25&offset=50&expand=created_by_user&fields=-context&status[]=failed&status[]=canceled&type[]=product-import",
  );
});

test("a form asks for what the schema has, and leaves the rest to JSON", () => {
  const schema = {
    required: ["fileKey", "name"],
    properties: {
      fileKey: { type: "string" },
      name: { type: "string" },
      delimiter: { anyOf: [{ enum: [",", ";"], type: "string" }, { type: "null" }], default: null },
      max_errors: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
      strict: { type: "boolean", default: true },
      list_config: { $ref: "#/$defs/ListConfig" },
    },
  };
  const { fields, others, file, fileRequired } = fieldsOf(schema);
  assert.deepEqual(
    fields.map((one) => [one.name, one.kind, one.required, one.initial]),
    [
      ["name", "text", true, null],
      ["delimiter", "choice", false, null],
      ["max_errors", "whole", false, null],
      ["strict", "box", false, true],
    ],
  );
  assert.deepEqual([others, file, fileRequired], [["list_config"], true, true]);
  assert.deepEqual(fieldsOf({}), { fields: [], others: [], file: false, fileRequired: false });
  assert.deepEqual(
    [valueOf("whole", "12"), valueOf("text", ""), valueOf("box", false), valueOf("choice", ";")],
    [12, undefined, false, ";"],
  );
});

test("what is no JSON object is refused in words", () => {
  assert.deepEqual([contextOf(" "), contextOf('{"a": [1]}')], [{}, { a: [1] }]);
  assert.throws(() => contextOf("{"), /^Error: This is not JSON: /);
  for (const text of ["[]", "null", "1"]) assert.throws(() => contextOf(text), /has to be a JSON object/);
});

test("refusals are told in words, whatever form they have", () => {
  assert.ok(refusal(401, "Unauthorized") instanceof SignedOut);
  const refused = refusal(400, '{"type": "not_allowed", "message": "Cannot confirm"}');
  assert.deepEqual([refused.message, refused.final], ["Cannot confirm.", true]);
  const proxy = refusal(502, "<html><b>Bad gateway</b>");
  assert.deepEqual([proxy.message, proxy.final], ["The server answered with status 502, and did not say why.", false]);
});

test("events are the same however their stream breaks into pieces", () => {
  const text =
    ': hello\nretry: 1500\nid: 7\nevent: batch.completed\ndata: {"a":\ndata: 1}\n\n: still here\nevent: batch.progress\r\ndata:{}\r\n\r\ndata: last\n\n';
  const expected = [
    { type: "batch.completed", id: "7", data: '{"a":\n1}' },
    { type: "batch.progress", id: "7", data: "{}" },
    { type: "message", id: "7", data: "last" },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const events = [];
    const parser = new EventParser((event) => events.push(event));
    for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
    assert.deepEqual([events, parser.retry], [expected, 1500], `in pieces of ${size}`);
  }
});
