// localStorage and sessionStorage that never throw (blocked, full, private window: a copy in memory serves this page),
// and that keep two gateways apart which share an origin under different base paths.

import { basePath } from "./place.js";

const suffix = basePath === "/" ? "" : `:${basePath}`;

class Store {
  #area;
  #memory = new Map();

  constructor(pick) {
    try {
      this.#area = pick();
    } catch {
      this.#area = null; // cookies and site data are blocked
    }
  }

  /** The browser's name for `key`, or for one of the many things that are kept under it. */
  name(key, part) {
    return `openclawd.${key}${suffix}${part === undefined ? "" : ` ${part}`}`;
  }

  /** Which part of `key` the browser calls so; null when it is something else. */
  partIn(name, key) {
    const start = this.name(key, "");
    return name?.startsWith(start) ? name.slice(start.length) : null;
  }

  get(key, part) {
    const name = this.name(key, part);
    if (this.#memory.has(name)) return this.#memory.get(name);
    try {
      return JSON.parse(this.#area?.getItem(name) ?? "null");
    } catch {
      return null; // not ours, or damaged: the same as absent
    }
  }

  /** Tells whether the browser keeps it; otherwise it is there as long as this page. */
  set(key, value, part) {
    const name = this.name(key, part);
    try {
      this.#area.setItem(name, JSON.stringify(value));
      this.#memory.delete(name);
      return true;
    } catch {
      this.#memory.set(name, value);
      return false;
    }
  }

  remove(key, part) {
    const name = this.name(key, part);
    this.#memory.delete(name);
    try {
      this.#area?.removeItem(name);
    } catch {
      // Nothing was stored where nothing can be removed.
    }
  }

  /** What there is under `key`. */
  parts(key) {
    let names = [];
    try {
      names = Object.keys(this.#area ?? {});
    } catch {
      // Blocked: what is in memory is all.
    }
    return [...new Set([...names, ...this.#memory.keys()])]
      .map((name) => this.partIn(name, key)).filter((part) => part !== null);
  }
}

export const localStore = new Store(() => window.localStorage);
export const sessionStore = new Store(() => window.sessionStorage);

/** What is kept of one kind for each conversation, by session key. */
export class Shelf {
  #store;
  #name;

  constructor(store, name) {
    this.#store = store;
    this.#name = name;
  }

  get keys() {
    return this.#store.parts(this.#name);
  }

  get(sessionKey) {
    return this.#store.get(this.#name, sessionKey);
  }

  /** null leaves no entry. */
  put(sessionKey, value) {
    if (value === null) this.#store.remove(this.#name, sessionKey);
    else this.#store.set(this.#name, value, sessionKey);
  }

  /** The session key that a storage event of another tab is about; null when it is about something else. */
  keyIn(storageName) {
    return this.#store.partIn(storageName, this.#name);
  }
}

/** {text, files: [{id, mimeType, fileName, bytes}]} of each conversation: what is written and not sent. */
export const drafts = new Shelf(localStore, "draft");
