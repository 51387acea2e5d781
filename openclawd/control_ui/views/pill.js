// The connection as a dot and a word.

import { announce, byId } from "../dom.js";

// A gap shorter than this is slept through in silence.
const ANNOUNCE_AFTER_MS = 2_000;

const WORDS = {
  connecting: ["wait", "Connecting…"],
  online: ["", "Online"],
  restarting: ["wait", "Restarting…"],
  gate: ["wait", "Needs token"],
  approval: ["wait", "Waiting for approval"],
  refused: ["bad", "Refused"],
};

/** [dot, word] for a state of the gateway at a moment. */
function words(state, now) {
  if (state.brief) return WORDS.online;
  if (state.name === "gate" && state.kind === "password") return ["wait", "Needs password"];
  if (state.name !== "reconnecting") return WORDS[state.name];
  if (state.stopped || navigator.onLine === false) return ["off", "Offline"];
  const seconds = Math.ceil((state.nextTryAt - now) / 1000);
  return ["wait", state.nextTryAt && seconds > 0 ? `Reconnecting in ${seconds} s` : "Reconnecting…"];
}

export class Pill {
  #pill = byId("pill");
  #word = byId("pill-word");
  #dot = byId("pill-dot");
  #state = { name: "connecting" };
  #said = "";
  #later = 0;

  constructor() {
    setInterval(() => this.#draw(), 500);
  }

  show(state) {
    this.#state = state;
    this.#draw();
    clearTimeout(this.#later);
    this.#later = setTimeout(() => this.#announce(), ANNOUNCE_AFTER_MS);
  }

  #draw() {
    const [dot, word] = words(this.#state, Date.now());
    if (this.#word.textContent === word) return;
    this.#word.textContent = word;
    this.#dot.className = `dot ${dot}`;
    this.#pill.dataset.state = this.#state.name;
  }

  #announce() {
    const [, word] = words(this.#state, Infinity);
    const first = !this.#said;
    if (word === this.#said) return;
    this.#said = word;
    if (!first || word !== "Online") announce(word);
  }
}
