// The message box: what is typed stays until it is sent, whatever the connection does meanwhile.

import { byId, h } from "../dom.js";
import { drafts } from "../storage.js";

const COMMANDS = [
  ["/help", "What can be typed here"],
  ["/status", "What the gateway and the model are doing"],
  ["/stop", "Stop the answer and everything that waits"],
  ["/new", "Begin this chat afresh; what was said is put away"],
  ["/reset", "Begin this chat afresh, as /new does"],
];
// Where a draft lies until it is known which conversation is open.
const NOWHERE_YET = "";

const joined = (...texts) => texts.filter(Boolean).join("\n\n");

export class Composer {
  #box = byId("message");
  #send = byId("send");
  #stop = byId("stop");
  #hint = byId("hint");
  #list = byId("commands");
  #key = NOWHERE_YET;
  #online = false;
  #busy = false;
  #matches = [];
  #chosen = 0;

  /** actions: {send(text), stop()} */
  constructor(actions) {
    this.actions = actions;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#stop.addEventListener("click", () => actions.stop());
    this.#box.addEventListener("input", () => this.#typed());
    this.#box.addEventListener("keydown", (event) => this.#pressed(event));
    this.#box.addEventListener("blur", () => this.#showCommands([]));
  }

  /** Show the draft of a conversation; what was typed before any was open is joined to it. */
  open(key) {
    const early = this.#key === NOWHERE_YET ? drafts.get(NOWHERE_YET) : "";
    drafts.put(NOWHERE_YET, "");
    this.#key = key;
    const text = joined(drafts.get(key), early);
    if (text !== this.text) this.text = text; // or an input method loses what it composes
    else this.#typed({ quiet: true });
  }

  /** Put a text into the box, below what is there. */
  add(text) {
    this.text = joined(this.text, text);
    this.focus();
  }

  get text() {
    return this.#box.value;
  }

  set text(value) {
    this.#box.value = value;
    this.#typed({ quiet: true });
  }

  focus() {
    this.#box.focus({ preventScroll: true });
  }

  update({ online, busy }) {
    this.#online = online;
    this.#busy = busy;
    this.#refresh();
  }

  #refresh() {
    const hasText = Boolean(this.#box.value.trim());
    this.#send.disabled = !this.#online || !hasText;
    this.#send.textContent = this.#busy && this.#online ? "Queue" : "Send";
    this.#send.hidden = this.#busy && this.#online && !hasText;
    this.#stop.hidden = !this.#busy || !this.#online;
    this.#hint.toggleAttribute("data-keys", this.#online);
    this.#hint.textContent = !this.#online
      ? (hasText ? "Your message stays here until the gateway is back" : "")
      : this.#busy ? "Esc stops the answer" : "Enter sends, Shift+Enter breaks the line";
  }

  #typed({ quiet = false } = {}) {
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
    drafts.put(this.#key, this.#box.value);
    const typed = this.#box.value;
    this.#showCommands(!quiet && /^\/\w*$/.test(typed) ? COMMANDS.filter(([name]) => name.startsWith(typed.toLowerCase())) : []);
    this.#refresh();
  }

  #submit() {
    const text = this.#box.value.trim();
    if (!text || !this.#online) return;
    this.text = "";
    this.focus();
    this.actions.send(text);
  }

  #pressed(event) {
    // While an input method composes, Enter and Escape belong to it (keyCode 229 is how Safari says so).
    if (event.isComposing || event.keyCode === 229) return;
    const open = this.#matches.length > 0;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      this.#choose(this.#chosen + (event.key === "ArrowDown" ? 1 : -1));
    } else if (open && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.text = this.#matches[this.#chosen][0];
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#showCommands([]);
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      // A half-typed command is completed and can be read before it is sent: /new puts a conversation away.
      const command = open && this.#matches[this.#chosen][0];
      if (command && command !== this.text.toLowerCase()) this.text = command;
      else this.#submit();
    }
  }

  #showCommands(matches) {
    this.#matches = matches;
    this.#list.hidden = !matches.length;
    this.#list.replaceChildren(...matches.map(([name, what], index) => h("li", {
      id: `command-${index}`,
      role: "option",
      onmousedown: (event) => {
        event.preventDefault(); // the box keeps the focus
        this.text = name;
      },
    }, h("code", {}, name), h("span", { class: "muted" }, what))));
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
