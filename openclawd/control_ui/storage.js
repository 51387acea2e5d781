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

  name(key) {
    return `openclawd.${key}${suffix}`;
  }

  get(key) {
    if (this.#memory.has(key)) return this.#memory.get(key);
    try {
      return JSON.parse(this.#area?.getItem(this.name(key)) ?? "null");
    } catch {
      return null; // not ours, or damaged: the same as absent
    }
  }

  set(key, value) {
    try {
      this.#area.setItem(this.name(key), JSON.stringify(value));
      this.#memory.delete(key);
    } catch {
      this.#memory.set(key, value);
    }
  }

  remove(key) {
    this.#memory.delete(key);
    try {
      this.#area?.removeItem(this.name(key));
    } catch {
      // Nothing was stored where nothing can be removed.
    }
  }
}

export const localStore = new Store(() => window.localStorage);
export const sessionStore = new Store(() => window.sessionStorage);

/** What this tab keeps of one kind (drafts, unsent messages) for each conversation: an entry per session key. */
export class Shelf {
  #name;

  constructor(name) {
    this.#name = name;
  }

  get #all() {
    return sessionStore.get(this.#name) ?? {};
  }

  get keys() {
    return Object.keys(this.#all);
  }

  get(sessionKey) {
    return this.#all[sessionKey] ?? null;
  }

  /** Nothing worth keeping (empty, null) leaves no entry. */
  put(sessionKey, value) {
    const { [sessionKey]: before, ...all } = this.#all;
    if (value?.length) all[sessionKey] = value;
    else if (before === undefined) return;
    sessionStore.set(this.#name, all);
  }
}

export const drafts = new Shelf("drafts");
export const unsent = new Shelf("unsent");
