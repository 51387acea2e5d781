// What a command that is being typed may become, as a list above the message box.

import { byId, h } from "../dom.js";

export class Completion {
  #box = byId("message");
  #list = byId("commands");
  #matches = [];
  #chosen = 0;
  #moved = false;

  /** commands: Commands · take(text): a choice was made. */
  constructor(commands, take) {
    this.commands = commands;
    this.take = take;
    this.#box.addEventListener("blur", () => this.close());
  }

  get isOpen() {
    return this.#matches.length > 0;
  }

  close() {
    this.#show([]);
  }

  async offer(typed) {
    const matches = typed.startsWith("/") ? this.commands.matching(typed) : [];
    this.#show(matches);
    if (!typed.startsWith("/")) return;
    await this.commands.learn(typed);
    // Meanwhile more may have been typed, or the box left.
    if (this.#box.value !== typed || document.activeElement !== this.#box) return;
    const learnt = this.commands.matching(typed);
    if (JSON.stringify(learnt) !== JSON.stringify(matches)) this.#show(learnt);
  }

  /** Whether the key was meant for the list. */
  pressed(event) {
    if (!this.isOpen) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.#moved = true;
      this.#choose(this.#chosen + step);
    } else if (event.key === "Tab" && !event.shiftKey) {
      this.take(this.#matches[this.#chosen].text);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.close();
    } else if (event.key === "Enter" && !event.shiftKey && this.#completes()) {
      this.take(this.#matches[this.#chosen].text);
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }

  // A half-typed command is completed and can be read before it is sent: /new puts a conversation away. One that is
  // whole is sent, and so is one behind which nothing has to stand.
  #completes() {
    const typed = this.#box.value;
    const { text, shown } = this.#matches[this.#chosen];
    const isWhole = [text.trim(), shown].some((whole) => whole.toLowerCase() === typed.trim().toLowerCase());
    return !isWhole && (this.#moved || !/\s$/.test(typed));
  }

  #show(matches) {
    this.#matches = matches;
    this.#moved = false;
    this.#list.hidden = !matches.length;
    this.#list.replaceChildren(...matches.map(({ text, shown, what }, index) => h("li", {
      id: `command-${index}`,
      role: "option",
      onmousedown: (event) => {
        event.preventDefault(); // the box keeps the focus
        this.take(text);
      },
    }, h("code", {}, shown), h("span", { class: "muted" }, what))));
    this.#choose(0);
  }

  #choose(index) {
    const size = this.#matches.length;
    this.#chosen = size ? (index + size) % size : 0;
    [...this.#list.children].forEach((row, at) => row.setAttribute("aria-selected", String(at === this.#chosen)));
    this.#list.children[this.#chosen]?.scrollIntoView({ block: "nearest" });
    if (size) this.#box.setAttribute("aria-activedescendant", `command-${this.#chosen}`);
    else this.#box.removeAttribute("aria-activedescendant");
  }
}
