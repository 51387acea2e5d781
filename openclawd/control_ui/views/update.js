// The card of an update, between the conversation and the message box: calm, and gone when it was put away.

import { announce, byId, commandLine, h } from "../dom.js";

export class UpdateCard {
  #entry = byId("open-update");
  #word = byId("update-word");
  #key = "";
  #element = null;
  #bar = null;
  #text = null;

  /** actions: {run(), putAway(), open(), putAwayFocused(): the focus has to go somewhere} */
  constructor(actions) {
    this.actions = actions;
    this.#entry.addEventListener("click", () => {
      actions.open();
      this.#element?.querySelector("button")?.focus();
    });
  }

  /** The card's element for what `Updates` tells, null where there is none; touched only where it says something else. */
  show(card, word) {
    this.#entry.hidden = !word;
    this.#word.textContent = word;
    const key = card ? JSON.stringify([card.kind, card.title, card.notes, card.command, card.canRun, Boolean(card.total)]) : "";
    if (key !== this.#key) {
      const hadFocus = this.#element?.contains(document.activeElement);
      this.#key = key;
      this.#element = card && this.#made(card);
      if (card) announce([card.title, card.kind === "ended" ? card.text : ""].filter(Boolean).join(". "));
      if (hadFocus) this.#keepFocus();
    }
    if (!card) return null;
    if (this.#text.textContent !== (card.text ?? "")) this.#text.textContent = card.text ?? "";
    if (this.#bar) this.#bar.value = card.done;
    return this.#element;
  }

  #keepFocus() {
    // Once the dock has put the new card in its place.
    queueMicrotask(() => {
      const next = this.#element?.querySelector("button");
      if (next) next.focus();
      else this.actions.putAwayFocused();
    });
  }

  #made({ kind, title, notes, command, total, canRun }) {
    this.#text = h("p", { class: "muted" });
    this.#bar = total ? h("progress", { max: total, "aria-label": title }) : null;
    const away = (label) => h("button", { type: "button", class: "btn", onclick: () => this.actions.putAway() }, label);
    return h("section", { class: "ask calm", "aria-label": "Update", "data-kind": kind },
      h("strong", {}, title),
      this.#text,
      this.#bar,
      notes && h("p", { class: "notes" }, notes),
      command && commandLine(command),
      kind !== "step" && h("div", { class: "row" },
        canRun && h("button", { type: "button", class: "btn primary", onclick: () => this.actions.run() }, "Update now"),
        away(kind === "available" ? "Not now" : "Close")));
  }
}
