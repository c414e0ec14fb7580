// Server-sent events by `fetch`, since an `EventSource` cannot show a token.

import { ApiError, request, SignedOut } from "./api.js";

const PATIENCE = { retry: 2000, longest: 30000 };

/** Reads pieces of a stream, and hands on each event that is complete: `{type, id, data}`, `data` being text. */
export class EventParser {
  #rest = "";
  #lines = { data: [], type: "message" };

  constructor(onEvent) {
    this.onEvent = onEvent;
    this.id = null;
    this.retry = null;
  }

  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    lines.forEach((line) => this.#take(line));
  }

  #take(line) {
    if (line === "") return this.#end();
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "data") this.#lines.data.push(value);
    else if (field === "event") this.#lines.type = value;
    else if (field === "id") this.id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retry = Number(value);
  }

  #end() {
    const { data, type } = this.#lines;
    this.#lines = { data: [], type: "message" };
    if (data.length > 0) this.onEvent({ type, id: this.id, data: data.join("\n") });
  }
}

/**
 * Follows a stream until `signal` is aborted or the server says that it is over, and comes back whenever it breaks.
 *
 * `onEvent` gets each event's name and its envelope; `onState` gets "live", "waiting" or "over". With `lastId` the server goes on
 * after that event, now and each time; without, it tells what happens from now on, and `onState` says when that began.
 */
export async function follow(path, { lastId = null, onEvent, onState, signal }) {
  let delay = PATIENCE.retry;
  while (!signal.aborted) {
    try {
      const resumed = lastId === null ? {} : { "last-event-id": lastId };
      const response = await request("GET", path, { headers: { accept: "text/event-stream", ...resumed }, signal });
      if (response.status === 204) return onState("over");
      onState("live");
      const parser = new EventParser((event) => {
        if (lastId !== null && event.id !== null) lastId = event.id;
        onEvent(event.type, JSON.parse(event.data));
      });
      await read(response, parser);
      delay = parser.retry ?? PATIENCE.retry;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof SignedOut || (error instanceof ApiError && error.final)) throw error;
      delay = Math.min(delay * 2, PATIENCE.longest);
    }
    onState("waiting");
    await pause(delay, signal);
  }
}

async function read(response, parser) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.push(value);
  }
}

/** Resolves after some time, or at once when `signal` is aborted. */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
