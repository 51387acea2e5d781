// What stands in place of the chat when a person has to do something first: give a secret, approve this browser
// elsewhere, or mend what the gateway refused. One sentence, one thing to do.

import { byId, copyButton, h } from "../dom.js";
import { tokenIn } from "../credentials.js";
import { browserName } from "../format.js";
import { currentDeviceId, fingerprint } from "../identity.js";
import { explain, explainGate, explainPairing } from "../refusals.js";

const commandLine = (command) =>
  h("div", { class: "command" }, h("code", {}, command), copyButton(() => command, "Copy the command"));

export class Door {
  #card = byId("door-card");
  #shown = "";

  /** actions: {give(kind, value), retry(), renew()} */
  constructor(actions) {
    this.actions = actions;
  }

  /** Whether a person has to do something before the gateway lets this page in. */
  needed(state) {
    return ["gate", "approval", "refused"].includes(state.name);
  }

  /** Draw for a state of the gateway; what is not on screen yet cannot take the focus. */
  show(state) {
    if (!this.needed(state)) {
      this.#busy(true);
      return;
    }
    const shown = JSON.stringify([state.name, state.kind, state.turnedDown, state.refusal?.message, state.refusal?.details]);
    this.#busy(false);
    // The same thing twice: a poll for the approval must not take the focus or the selection away.
    if (shown === this.#shown && state.name === "approval") return;
    this.#shown = shown;
    this.#card.replaceChildren(...this[`draw_${state.name}`](state));
    this.#card.querySelector("[data-focus]")?.focus();
  }

  #busy(busy) {
    const button = this.#card.querySelector("button.primary");
    if (button) button.disabled = busy;
  }

  draw_gate(state) {
    const { kind } = state;
    const isPassword = kind === "password";
    const why = explainGate(state);
    const field = h("input", {
      id: "secret", type: "password", required: true, "data-focus": true, spellcheck: "false", autocapitalize: "off",
      autocomplete: isPassword ? "current-password" : "off", "aria-describedby": why ? "why" : null,
      "aria-invalid": why ? "true" : null,
    });
    const reveal = h("button", { type: "button", class: "link", "aria-pressed": "false" }, "Show");
    reveal.addEventListener("click", () => {
      const hidden = field.type === "password";
      field.type = hidden ? "text" : "password";
      reveal.textContent = hidden ? "Hide" : "Show";
      reveal.setAttribute("aria-pressed", String(hidden));
      field.focus();
    });
    const submit = (event) => {
      event.preventDefault();
      const value = isPassword ? field.value : tokenIn(field.value);
      if (value) this.actions.give(kind, value);
    };
    return [
      h("h1", {}, isPassword ? "Enter the gateway's password" : "Connect to your gateway"),
      isPassword
        ? h("p", {}, "It is asked once: this browser then keeps an access of its own.")
        : h("p", {}, "Paste the gateway's token, or the whole link that ", h("code", {}, "openclawd dashboard"), " prints."),
      h("form", { onsubmit: submit },
        // A password manager keeps a password under a name.
        isPassword && h("input", { type: "text", autocomplete: "username", value: "openclawd", hidden: true }),
        h("label", { for: "secret" }, isPassword ? "Password" : "Token"),
        h("div", { class: "field" }, field, reveal),
        why && h("p", { id: "why", class: "why dotted", role: "alert" }, h("span", { class: "dot bad" }), h("span", {}, why)),
        h("button", { class: "btn primary" }, "Connect")),
    ];
  }

  draw_approval({ refusal, turnedDown }) {
    const me = `${browserName(navigator.userAgent)}, ${fingerprint(currentDeviceId())}`;
    if (turnedDown) {
      return [
        h("h1", {}, "The request was turned down"),
        h("p", {}, "Somebody rejected this browser, or the request was replaced. It does not ask again by itself."),
        h("button", { type: "button", class: "btn primary", "data-focus": true, onclick: () => this.actions.retry() }, "Ask again"),
      ];
    }
    const id = refusal.details?.requestId;
    return [
      h("h1", {}, "Waiting for approval"),
      h("p", {}, explainPairing(refusal), " Approve it once on the gateway's computer:"),
      commandLine(id ? `openclawd devices approve ${id}` : "openclawd devices list"),
      h("p", { class: "muted" }, "Or press Approve on a page that is already connected. This page goes on by itself."),
      h("p", { class: "muted small dotted" }, h("span", { class: "dot wait" }), h("span", {}, `This browser: ${me}`)),
    ];
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
