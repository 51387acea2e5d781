// What this tab knows of answers and the transcript does not tell: what they cost, how long they took, and which
// command they answer (a transcript keeps only the answer).

import { Shelf, sessionStore } from "./storage.js";

const REMEMBERED_ANSWERS = 50;
const commandShelf = new Shelf(sessionStore, "commands");
const metaShelf = new Shelf(sessionStore, "metas");

const newest = (map) => [...map].slice(-REMEMBERED_ANSWERS);

export class Remembered {
  #key;
  #commands; // the time stamp of an answer -> {runId, text, at}
  #metas; // run id -> meta

  constructor(sessionKey) {
    this.#key = sessionKey;
    this.#commands = new Map(commandShelf.get(sessionKey));
    this.#metas = new Map(metaShelf.get(sessionKey));
  }

  command(answeredAt) {
    return this.#commands.get(answeredAt) ?? null;
  }

  keepCommand(answeredAt, command) {
    this.#commands.set(answeredAt, command);
    commandShelf.put(this.#key, newest(this.#commands));
  }

  meta(runId) {
    return this.#metas.get(runId) ?? {};
  }

  keepMeta(runId, meta) {
    this.#metas.set(runId, meta);
    metaShelf.put(this.#key, newest(this.#metas));
  }

  clear() {
    this.#commands.clear();
    this.#metas.clear();
    commandShelf.put(this.#key, null);
    metaShelf.put(this.#key, null);
  }
}
