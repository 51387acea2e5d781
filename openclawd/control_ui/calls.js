// Requests over one socket at a time: sent, waited for, answered or given up.

const TIMEOUT_MS = 30_000;
// A UTF-16 code unit becomes three bytes of UTF-8 at most.
const MAX_BYTES_PER_UNIT = 3;
const MEBIBYTE = 1024 * 1024;

/** The gateway answered, and the answer is no. */
export class GatewayError extends Error {
  constructor({ code = "UNAVAILABLE", message = "the gateway gave no reason", details, retryable, retryAfterMs } = {}) {
    super(message);
    Object.assign(this, { code, details, retryable, retryAfterMs });
  }
}

/** No answer: the connection went before it came. Whether the request was carried out is unknown. */
export class Disconnected extends Error {}

export class Calls {
  #pending = new Map();
  #lastId = 0;

  /** Rejects with GatewayError or Disconnected. `limit`: so many bytes may a message have. */
  send(socket, method, params, { timeoutMs = TIMEOUT_MS, limit = Infinity }) {
    const id = `r${++this.#lastId}`;
    const frame = JSON.stringify({ type: "req", id, method, params });
    // A longer frame would end the connection instead of being answered.
    if (frame.length * MAX_BYTES_PER_UNIT > limit && new TextEncoder().encode(frame).length > limit) {
      const message = `it is too long for one message (limit ${Math.floor(limit / MEBIBYTE)} MB)`;
      return Promise.reject(new GatewayError({ code: "INVALID_REQUEST", message }));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(new Disconnected(`${method} was not answered in ${Math.round(timeoutMs / 1000)} s`));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      // One that is closing takes nothing any more, and its end fails what waits.
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    });
  }

  /** A `res` frame. */
  answered({ id, ok, payload, error }) {
    const waiting = this.#pending.get(id);
    if (!waiting) return;
    this.#pending.delete(id);
    clearTimeout(waiting.timer);
    if (ok) waiting.resolve(payload);
    else waiting.reject(new GatewayError(error));
  }

  /** The connection is gone. */
  fail() {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject, timer } of waiting) {
      clearTimeout(timer);
      reject(new Disconnected("the connection was lost"));
    }
  }
}
