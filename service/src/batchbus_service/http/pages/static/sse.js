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
 * `onEvent` gets each event's name and its envelope; `onState` gets "live", "waiting" or "over". With `lastId` the server
 * goes on after that event, now and each time; without, it tells what happens from now on, and "live" is when it begins.
 */
export async function follow(path, { lastId = null, onEvent, onState, signal }) {
  let delay = PATIENCE.retry;
  for (;;) {
    await seen(signal);
    if (signal.aborted) return;
    const connection = new Connection(signal);
    try {
      const resumed = lastId === null ? {} : { "last-event-id": lastId };
      const response = await request("GET", path, {
        headers: { accept: "text/event-stream", ...resumed },
        signal: connection.signal,
      });
      if (response.status === 204) return onState("over");
      onState("live");
      const parser = new EventParser((event) => {
        if (lastId !== null && event.id !== null) lastId = event.id;
        onEvent(event.type, JSON.parse(event.data));
      });
      await read(response, parser);
      delay = parser.retry ?? PATIENCE.retry;
    } catch (error) {
      if (connection.signal.aborted) continue;
      if (error instanceof SignedOut || (error instanceof ApiError && error.final)) throw error;
      delay = Math.min(delay * 2, PATIENCE.longest);
    } finally {
      connection.close();
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
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** Lets a connection go as soon as nobody sees the page, since a browser has few of them for one server. */
class Connection {
  #ending = new AbortController();
  signal = this.#ending.signal;

  constructor(signal) {
    this.close = () => {
      document.removeEventListener("visibilitychange", this.#look);
      signal.removeEventListener("abort", this.close);
      this.#ending.abort();
    };
    signal.addEventListener("abort", this.close);
    document.addEventListener("visibilitychange", this.#look);
  }

  #look = () => {
    if (document.hidden) this.close();
  };
}

/** Resolves when somebody sees the page, or `signal` is aborted. */
function seen(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}
