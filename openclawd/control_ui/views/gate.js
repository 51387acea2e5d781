// The gate: one field for the secret, and in one sentence why it is asked for.

import { tokenIn } from "../credentials.js";
import { h } from "../dom.js";
import { explainGate, explainLimit } from "../refusals.js";

export class Gate {
  #field = null;
  #why = null;
  #button = null;
  #kind = "";
  #given = ""; // what was submitted last: it is not put into the field again
  #clock = 0;

  /** give(kind, value): a person gave it. */
  constructor(give) {
    this.give = give;
  }

  /** The card's content for a state of the gateway that is "gate". What somebody is typing stays in the field. */
  draw(state) {
    const { kind, limit } = state;
    const isPassword = kind === "password";
    const why = explainGate(state);
    const typed = this.#kind === kind && this.#field?.value !== this.#given ? this.#field?.value : "";
    this.#kind = kind;
    this.#field = h("input", {
      id: "secret", type: "password", required: true, "data-focus": true, spellcheck: "false", autocapitalize: "off",
      autocomplete: isPassword ? "current-password" : "off", "aria-describedby": why ? "why" : null,
      "aria-invalid": why && !limit ? "true" : null,
    });
    this.#field.value = typed ?? "";
    this.#button = h("button", { class: "btn primary" }, "Connect");
    this.#why = !why ? null : h("p", { id: "why", class: "why dotted", role: "alert" },
      h("span", { class: `dot ${limit ? "wait" : "bad"}` }), h("span", {}, why));
    return [
      h("h1", {}, isPassword ? "Enter the gateway's password" : "Connect to your gateway"),
      isPassword
        ? h("p", {}, "It is asked once: this browser then keeps an access of its own.")
        : h("p", {}, "Paste the gateway's token, or the whole link that ", h("code", {}, "openclawd dashboard"), " prints."),
      h("form", { onsubmit: (event) => this.#submit(event) },
        // A password manager keeps a password under a name.
        isPassword && h("input", { type: "text", autocomplete: "username", value: "openclawd", hidden: true }),
        h("label", { for: "secret" }, isPassword ? "Password" : "Token"),
        h("div", { class: "field" }, this.#field, this.#reveal()),
        this.#why,
        limit && this.#limit(limit, isPassword),
        this.#button),
    ];
  }

  /** What was given is on its way, or was answered: why it was asked for is not said of what is being looked at. */
  set isBusy(isBusy) {
    if (!this.#button) return;
    this.#button.disabled = isBusy;
    this.#button.textContent = isBusy ? "Connecting…" : "Connect";
    if (this.#why) this.#why.hidden = isBusy;
  }

  /** Nothing of a gate that is passed stays. */
  leave() {
    clearInterval(this.#clock);
    this.#field = null;
    this.#given = "";
  }

  #submit(event) {
    event.preventDefault();
    this.#given = this.#field.value;
    const value = this.#kind === "password" ? this.#given : tokenIn(this.#given);
    if (value) this.give(this.#kind, value);
  }

  #reveal() {
    const field = this.#field;
    const button = h("button", { type: "button", class: "link", "aria-pressed": "false" }, "Show");
    button.addEventListener("click", () => {
      const hidden = field.type === "password";
      field.type = hidden ? "text" : "password";
      button.textContent = hidden ? "Hide" : "Show";
      button.setAttribute("aria-pressed", String(hidden));
      field.focus();
    });
    return button;
  }

  #limit(limit, isPassword) {
    // Every second: not for a screen reader, which has heard why.
    const left = h("span", { role: "timer", "aria-live": "off" });
    const tick = () => {
      const words = explainLimit(limit, Date.now());
      if (left.textContent !== words) left.textContent = words;
    };
    clearInterval(this.#clock);
    this.#clock = setInterval(tick, 1_000);
    tick();
    const [before, command] = isPassword
      ? [" Whoever is at the gateway's computer need not wait: ", h("code", {}, "openclawd gateway limits --clear-all")]
      : [" A token that the gateway made itself is let in at any time: paste it if you have it."];
    return h("p", { class: "muted small limit" }, left, before, command);
  }
}
