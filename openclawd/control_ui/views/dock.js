// What needs a person, between the conversation and the message box: a device that waits, a gateway that does not answer.

import { announce, arrange, byId, commandLine, h } from "../dom.js";
import { describeRequest, nameOf } from "../devices.js";
import { explainLoss } from "../refusals.js";

// A restart is over by then; before that the pill says enough.
const PATIENCE_MS = 4_000;

export class Dock {
  #dock = byId("dock");
  #waiting = null;
  #waitingKey;
  #lost = null;
  #since = 0;
  #question = null;
  #update = null;

  /** actions: {approve(requestId), reject(requestId), showDevices(), retry()} */
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

  /** Who waits at the door: one is asked about here, several are one notice. */
  devices(requests) {
    const [first] = requests;
    const key = requests.length > 1 ? String(requests.length) : first?.requestId;
    if (key === this.#waitingKey) return;
    this.#waitingKey = key;
    if (first) announce(requests.length > 1 ? `${requests.length} devices want to connect` : `${nameOf(first)} wants to connect`);
    this.#waiting = !first ? null : requests.length > 1 ? this.#crowdCard(requests.length) : this.#deviceCard(first);
    this.#arrange();
  }

  #crowdCard(number) {
    return h("section", { class: "ask", "aria-label": "Devices wait for approval" },
      h("strong", {}, `${number} devices want to connect`),
      h("div", { class: "row" },
        h("button", { type: "button", class: "btn primary", onclick: () => this.actions.showDevices() }, "Show them")));
  }

  #deviceCard(request) {
    const name = nameOf(request);
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
      h("p", { class: "muted" }, describeRequest(request)),
      trouble,
      h("div", { class: "row" },
        h("button", { type: "button", class: "btn primary", onclick: decide("approve") }, "Approve"),
        h("button", { type: "button", class: "btn", onclick: decide("reject") }, "Reject")));
    return card;
  }

  /** The card of an update, or null. */
  update(card) {
    if (card === this.#update) return;
    this.#update = card;
    this.#arrange();
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
    const { title, text, command } = explainLoss(state);
    if (this.#lost?.dataset.command !== (command ?? "")) {
      this.#lost = h("section", { class: "ask calm", "aria-label": "Connection", "data-command": command ?? "" },
        h("p", {}, h("strong"), h("span")),
        command && commandLine(command),
        h("div", { class: "row" },
          h("button", { type: "button", class: "btn", onclick: () => this.actions.retry() }, "Try now")));
      this.#arrange();
    }
    const [strong, span] = this.#lost.firstElementChild.children;
    if (strong.textContent !== `${title}. `) strong.textContent = `${title}. `;
    if (span.textContent !== text) span.textContent = text;
  }

  #arrange() {
    arrange(this.#dock, [this.#lost, this.#update, this.#waiting, this.#question?.card].filter(Boolean));
  }
}
