// What stands in place of the chat when a person has to do something first: give a secret, approve this browser
// elsewhere, or mend what the gateway refused. One sentence, one thing to do.

import { byId, commandLine, h } from "../dom.js";
import { browserName } from "../format.js";
import { currentDeviceId, fingerprint } from "../identity.js";
import { explain, explainPairing } from "../refusals.js";
import { Gate } from "./gate.js";

/** Plain http beyond this computer: it works, and whoever is in between can read it. Three ways that are safer. */
function notEncrypted() {
  const port = location.port || "80";
  return h("details", { class: "muted small" },
    h("summary", {}, "This connection is not encrypted"),
    h("p", {}, "Others in the same network can read what goes over it, the token too. To encrypt it, do this on the " +
      "gateway's computer, restart it and open the page with https:"),
    commandLine("openclawd config set gateway.tls.enabled true"),
    h("p", {}, "Or come through a tunnel, and open ", h("code", {}, `http://localhost:${port}`), " here:"),
    commandLine(`ssh -L ${port}:localhost:${port} ${location.hostname}`));
}

export class Door {
  #card = byId("door-card");
  #gate;
  #shown = "";

  /** actions: {give(kind, value), retry(), renew()} */
  constructor(actions) {
    this.actions = actions;
    this.#gate = new Gate(actions.give);
  }

  /** Whether a person has to do something before the gateway lets this page in. */
  needed(state) {
    return ["gate", "approval", "refused"].includes(state.name);
  }

  /** Draw for a state of the gateway; what is not on screen yet cannot take the focus. */
  show(state) {
    if (!this.needed(state)) {
      this.#busy(true);
      if (state.name === "online") this.#gate.leave();
      return;
    }
    const shown = JSON.stringify([state.name, state.kind, state.turnedDown, state.replaced, state.refusal?.message,
      state.refusal?.details]);
    this.#busy(false);
    // The same thing twice: a poll for the approval must not take the focus or the selection away.
    if (shown === this.#shown && state.name === "approval") return;
    this.#shown = shown;
    this.#card.replaceChildren(...this[`draw_${state.name}`](state),
      ...(isSecureContext || state.name === "refused" ? [] : [notEncrypted()]));
    this.#card.querySelector("[data-focus]")?.focus();
  }

  #busy(busy) {
    const button = this.#card.querySelector("button.primary");
    if (button) button.disabled = busy;
    this.#gate.isBusy = busy;
  }

  draw_gate(state) {
    return this.#gate.draw(state);
  }

  draw_approval({ refusal, turnedDown, replaced }) {
    const me = `${browserName(navigator.userAgent)}, ${fingerprint(currentDeviceId())}`;
    if (turnedDown) {
      return [
        h("h1", {}, "The request was turned down"),
        h("p", {}, "Somebody rejected this browser. It does not ask again by itself."),
        h("button", { type: "button", class: "btn primary", "data-focus": true, onclick: () => this.actions.retry() }, "Ask again"),
      ];
    }
    const id = refusal.details?.requestId;
    return [
      h("h1", {}, "Waiting for approval"),
      h("p", {}, explainPairing(refusal), " Approve it once on the gateway's computer:"),
      commandLine(id ? `openclawd devices approve ${id}` : "openclawd devices list"),
      replaced && h("p", { class: "muted" }, "The request before this one is no more: this is a new one."),
      h("p", { class: "muted" }, "Or press Approve on a page that is already connected. This page goes on by itself."),
      h("p", { class: "muted small dotted" }, h("span", { class: "dot wait" }), h("span", {}, `This browser: ${me}`)),
    ].filter(Boolean);
  }

  draw_refused({ refusal }) {
    const { title, text, command, action, label } = explain(refusal);
    const act = { retry: () => this.actions.retry(), renew: () => this.actions.renew(), reload: () => location.reload() };
    return [
      h("h1", {}, title),
      h("p", {}, text),
      command && commandLine(command),
      h("button", { type: "button", class: "btn primary", "data-focus": true, onclick: act[action] }, label),
    ].filter(Boolean);
  }
}
