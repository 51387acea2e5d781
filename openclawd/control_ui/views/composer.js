// The message box: what is written stays, over reloads and restarts, until it is sent; without a connection it is sent
// when there is one.

import { byId } from "../dom.js";
import { drafts } from "../storage.js";
import { Completion } from "./completion.js";
import { Tray } from "./tray.js";

// Where a draft lies until it is known which conversation is open.
const NOWHERE_YET = "";
const EMPTY = { text: "", files: [] };

const joined = (...texts) => texts.filter(Boolean).join("\n\n");

export class Composer {
  #box = byId("message");
  #send = byId("send");
  #stop = byId("stop");
  #hint = byId("hint");
  #key = NOWHERE_YET;
  #online = false;
  #busy = false;
  #tray;
  #completion;

  /** actions: {send(text, files), stop(), limits(), draftedElsewhere()} · commands: Commands */
  constructor(actions, commands) {
    this.actions = actions;
    this.#tray = new Tray({
      limits: actions.limits, changed: () => this.#keep(), place: () => this.#key, keepFor: (key, file) => this.#keepFor(key, file),
    });
    this.#completion = new Completion(commands, (text) => {
      this.text = text;
      if (text.endsWith(" ")) this.#completion.offer(text);
    });
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#stop.addEventListener("click", () => actions.stop());
    this.#box.addEventListener("input", () => this.#typed());
    this.#box.addEventListener("keydown", (event) => this.#pressed(event));
    window.addEventListener("storage", ({ key, oldValue, newValue }) => {
      if (drafts.keyIn(key) === this.#key) this.#changedElsewhere(oldValue, newValue);
    });
  }

  /** Show the draft of a conversation; what was written before any was open is joined to it. */
  open(key) {
    const early = this.#key === NOWHERE_YET ? drafts.get(NOWHERE_YET) ?? EMPTY : EMPTY;
    drafts.put(NOWHERE_YET, null);
    this.#key = key;
    const draft = drafts.get(key) ?? EMPTY;
    this.#tray.show([...draft.files, ...early.files]);
    const text = joined(draft.text, early.text);
    if (text !== this.text) this.text = text; // or an input method loses what it composes
    else this.#typed({ quiet: true });
  }

  /** Put a message into the box, below what is there. */
  add({ text, files = [] }) {
    this.#tray.show([...this.#tray.files, ...files]);
    this.text = joined(this.text, text);
    this.focus();
  }

  /** What is written here, {text, files}; the box is empty then. */
  take() {
    const { text } = this;
    const files = this.#tray.take();
    this.text = "";
    return { text, files };
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

  get #isEmpty() {
    return !this.text.trim() && !this.#tray.files.length;
  }

  #refresh() {
    const answering = this.#busy && this.#online;
    this.#send.disabled = this.#isEmpty || this.#key === NOWHERE_YET;
    this.#send.textContent = answering ? "Queue" : "Send";
    this.#send.hidden = answering && this.#isEmpty;
    this.#stop.hidden = !answering;
    this.#hint.toggleAttribute("data-keys", this.#online);
    this.#hint.textContent = !this.#online
      ? (this.#isEmpty ? "" : "It goes out when the gateway is back")
      : this.#busy ? "Esc stops the answer" : "Enter sends, Shift+Enter breaks the line";
  }

  #typed({ quiet = false, kept = false } = {}) {
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
    if (kept) this.#refresh();
    else this.#keep();
    if (quiet) this.#completion.close();
    else this.#completion.offer(this.text);
  }

  #keep() {
    const { text } = this;
    const { files } = this.#tray;
    drafts.put(this.#key, text || files.length ? { text, files } : null);
    this.#refresh();
  }

  /** A file that was still being read when another conversation was opened. */
  #keepFor(key, file) {
    const draft = drafts.get(key) ?? EMPTY;
    drafts.put(key, { ...draft, files: [...draft.files, file] });
    this.actions.draftedElsewhere();
  }

  /** Another tab wrote on the same draft, or sent it: it is followed unless something else is written here. */
  #changedElsewhere(before, after) {
    const read = (value) => JSON.parse(value ?? "null") ?? EMPTY;
    if (this.text !== read(before).text) return;
    const { text, files } = read(after);
    if (JSON.stringify(files) !== JSON.stringify(this.#tray.files)) this.#tray.show(files);
    this.#box.value = text;
    // Kept by the other tab, which may have written more by now.
    this.#typed({ quiet: true, kept: true });
  }

  #submit() {
    if (this.#send.disabled) return;
    const { text, files } = this.take();
    this.focus();
    this.actions.send(text.trim(), files);
  }

  #pressed(event) {
    // While an input method composes, Enter and Escape belong to it (keyCode 229 is how Safari says so).
    if (event.isComposing || event.keyCode === 229 || this.#completion.pressed(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    }
  }
}
