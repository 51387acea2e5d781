// What is wrong with the gateway, as its health tells; and what of that a person has seen and put away in this tab.

import { sessionStore } from "./storage.js";

const SEEN = "warnings-seen";

// Where the health has sentences, and the command that tells more on the gateway's computer.
// Where its text names a better one at its end, that is it.
const COMMANDS = { configWarnings: "openclawd config validate", stateWarnings: "openclawd doctor" };

const ADVICE = /; see: (openclawd [^;]+)$/;

/** As a sentence reads: the gateway's own may begin and end in the middle of one. */
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?:]$/.test(text) ? "" : ".");

export class Warnings {
  #told = [];
  #changed;

  /** changed(): there are others. */
  constructor(changed) {
    this.#changed = changed;
  }

  /** {text, command} of each that was not put away. */
  get open() {
    const seen = this.#seen;
    return this.#told.filter(({ text }) => !seen.includes(text));
  }

  get #seen() {
    const seen = sessionStore.get(SEEN);
    return Array.isArray(seen) ? seen : [];
  }

  /** The payload of a `health` event: what it does not name is over, and when it comes again it is news. */
  heard(health) {
    this.#told = Object.entries(COMMANDS).flatMap(([member, command]) => {
      const texts = Array.isArray(health[member]) ? health[member].filter((text) => text && typeof text === "string") : [];
      return texts.map((text) => ({ text: sentence(text.replace(ADVICE, "")), command: ADVICE.exec(text)?.[1] ?? command }));
    });
    const texts = this.#told.map(({ text }) => text);
    this.#keep(this.#seen.filter((text) => texts.includes(text)));
    this.#changed();
  }

  putAway(text) {
    this.#keep([...this.#seen, text]);
    this.#changed();
  }

  #keep(seen) {
    if (seen.length) sessionStore.set(SEEN, seen);
    else sessionStore.remove(SEEN);
  }
}
