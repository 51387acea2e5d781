// What needs a person, between the conversation and the message box: a device that waits, a gateway that does not answer.

import { arrange, byId, h } from "../dom.js";
import { browserName } from "../format.js";
import { fingerprint } from "../identity.js";
import { explain } from "../refusals.js";

// A restart is over by then; before that the pill says enough.
const PATIENCE_MS = 4_000;

const SCOPE_WORDS = {
  "operator.read": "reading",
  "operator.write": "sending messages",
  "operator.approvals": "answering approvals",
  "operator.pairing": "letting devices in",
};

function describe(request) {
  const scopes = request.scopes ?? [];
  const rights = scopes.includes("operator.admin") ? "everything"
    : scopes.map((scope) => SCOPE_WORDS[scope] ?? scope).join(", ") || "nothing yet";
  const kind = request.role === "node" ? "as a node of this gateway" : `to be allowed ${rights}`;
  const from = request.remoteIp ? `From ${request.remoteIp}` : "From this computer";
  return `${from}, device ${fingerprint(request.deviceId)}, ${kind}.`;
}

export class Dock {
  #dock = byId("dock");
  #devices = new Map();
  #lost = null;
  #since = 0;
  #question = null;

  /** actions: {approve(requestId), reject(requestId), retry()} */
  constructor(actions) {
    this.actions = actions;
    setInterval(() => this.#drawLost(), 500);
  }

  connection(state) {
    this.state = state;
    if (state.name === "online") this.#since = 0;
    else this.#since ||= Date.now();
    this.#drawLost();
  }

  devices(requests) {
    const wanted = new Set(requests.map((request) => request.requestId));
    for (const id of this.#devices.keys()) if (!wanted.has(id)) this.#devices.delete(id);
    for (const request of requests) {
      if (!this.#devices.has(request.requestId)) this.#devices.set(request.requestId, this.#deviceCard(request));
    }
    this.#arrange();
  }

  #deviceCard(request) {
    const name = request.displayName || browserName(request.platform ?? "") || "A device";
    const trouble = h("p", { class: "why", role: "alert", hidden: true });
    const decide = (what) => async () => {
      for (const button of card.querySelectorAll("button")) button.disabled = true;
      const problem = await this.actions[what](request.requestId, name);
      if (!problem) return;
      trouble.textContent = problem;
      trouble.hidden = false;
      for (const button of card.querySelectorAll("button")) button.disabled = false;
    };
    const card = h("section", { class: "ask", "aria-label": "A device waits for approval" },
      h("strong", {}, request.isRepair ? `${name} asks for more access` : `${name} wants to connect`),
      h("p", { class: "muted" }, describe(request)),
      trouble,
      h("div", { class: "row" },
        h("button", { type: "button", class: "btn primary", onclick: decide("approve") }, "Approve"),
        h("button", { type: "button", class: "btn", onclick: decide("reject") }, "Reject")));
    return card;
  }

  /** Ask before something is put away. `answer` hears true or false, once; a new question answers the old one with no. */
  ask(question, yes, no, answer) {
    this.dropQuestion();
    const decide = (decision) => {
      if (this.#question?.card !== card) return;
      this.#question = null;
      this.#arrange();
      answer(decision);
    };
    const keep = h("button", { type: "button", class: "btn", onclick: () => decide(false) }, no);
    const card = h("section", {
      class: "ask calm", role: "group", "aria-label": question,
      onkeydown: (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        decide(false);
      },
    },
    h("p", {}, question),
    h("div", { class: "row" },
      h("button", { type: "button", class: "btn", onclick: () => decide(true) }, yes), keep));
    this.#question = { card, decide };
    this.#arrange();
    keep.focus();
  }

  dropQuestion() {
    this.#question?.decide(false);
  }

  #drawLost() {
    const state = this.state;
    const show = state?.name === "reconnecting" && this.#since && Date.now() - this.#since > PATIENCE_MS;
    if (!show) {
      if (!this.#lost) return;
      this.#lost = null;
      this.#arrange();
      return;
    }
    if (!this.#lost) {
      this.#lost = h("section", { class: "ask calm", "aria-label": "Connection" },
        h("p", {}, h("strong"), h("span")),
        h("div", { class: "row" },
          h("button", { type: "button", class: "btn", onclick: () => this.actions.retry() }, "Try now")));
      this.#arrange();
    }
    const [title, text] = this.#lostWords(state);
    const [strong, span] = this.#lost.firstElementChild.children;
    if (strong.textContent !== title) strong.textContent = title;
    if (span.textContent !== text) span.textContent = text;
  }

  #lostWords(state) {
    if (state.refusal) {
      const { title, text } = explain(state.refusal);
      return [`${title}. `, text];
    }
    if (navigator.onLine === false) return ["This computer is offline. ", "The page goes on by itself when the network is back."];
    if (state.stopped) return ["The gateway was stopped. ", "The page goes on by itself when it runs again."];
    return ["The gateway does not answer. ", "The page keeps trying; nothing you typed is lost."];
  }

  #arrange() {
    arrange(this.#dock, [this.#lost, ...this.#devices.values(), this.#question?.card].filter(Boolean));
  }
}
