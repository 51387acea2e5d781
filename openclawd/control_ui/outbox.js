// What was sent from here and is not known to be with the gateway yet.
//
// An entry is {runId, sessionKey, text, files, at, tried?, error?}: `runId` is its idempotency key for as long as it
// lives, so the gateway does it once however often it is sent; `files` name what files.js keeps; `tried` is when it
// was first handed to a connection; `error` is what the gateway said when it would not have it. Entries lie in
// localStorage, each under a key of its own: they outlive the page, and every tab of this browser sees the same ones.

import { randomHex } from "./bytes.js";
import { dropFiles } from "./files.js";
import { localStore } from "./storage.js";

const KEY = "outbox";

export class Outbox {
  #entries = new Map();
  #listeners = [];

  constructor() {
    for (const runId of localStore.parts(KEY)) this.#read(runId);
    window.addEventListener("storage", ({ key }) => {
      if (key === null) {
        // Everything was cleared: what waits does so in this page alone.
        for (const entry of this.#entries.values()) entry.kept = false;
        return;
      }
      const runId = localStore.partIn(key, KEY);
      if (runId === null) return;
      const sessionKey = this.#entries.get(runId)?.sessionKey ?? localStore.get(KEY, runId)?.sessionKey;
      this.#read(runId);
      for (const listener of this.#listeners) listener(sessionKey);
    });
  }

  /** Another tab changed what waits in a conversation: (sessionKey). */
  onChange(listener) {
    this.#listeners.push(listener);
  }

  #read(runId) {
    const stored = localStore.get(KEY, runId);
    if (stored?.runId === runId && typeof stored.sessionKey === "string" && Array.isArray(stored.files)) {
      const entry = this.#entries.get(runId) ?? { kept: true };
      this.#entries.set(runId, Object.assign(entry, { error: undefined }, stored));
    } else {
      this.#entries.delete(runId);
    }
  }

  /** The conversations for which something waits. */
  get keys() {
    return [...new Set([...this.#entries.values()].map((entry) => entry.sessionKey))];
  }

  get fileIds() {
    return [...this.#entries.values()].flatMap((entry) => entry.files.map((file) => file.id));
  }

  /** In the order in which they were written. */
  of(sessionKey) {
    return [...this.#entries.values()].filter((entry) => entry.sessionKey === sessionKey)
      .sort((a, b) => a.at - b.at);
  }

  /** Whether it still waits: another tab may have been quicker. */
  waits(entry) {
    if (entry.kept) this.#read(entry.runId);
    return this.#entries.get(entry.runId) === entry;
  }

  add(sessionKey, text, files, at) {
    const entry = { runId: randomHex(16), sessionKey, text, files, at };
    this.#entries.set(entry.runId, entry);
    this.change(entry, {});
    return entry;
  }

  /** `entry.kept` tells afterwards whether it outlives this page. */
  change(entry, changes) {
    Object.assign(entry, changes);
    const { kept, ...lasting } = entry;
    entry.kept = localStore.set(KEY, lasting, entry.runId);
  }

  /** Take an entry out; its files stay, as somebody may want them. */
  remove(entry) {
    this.#entries.delete(entry.runId);
    localStore.remove(KEY, entry.runId);
  }

  /** The gateway has it: nothing of it is needed here. */
  delivered(entry) {
    this.remove(entry);
    dropFiles(entry.files.map((file) => file.id));
  }
}
