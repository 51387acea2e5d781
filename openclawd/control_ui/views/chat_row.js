// One chat in the list: a link; a field while it gets a new name; a question before it is deleted.

import { h } from "../dom.js";
import { ago, fullMoment } from "../format.js";
import { showMenu } from "./menu.js";

const MAX_NAME = 64;

const DOTS = { answering: "wait", waiting: "off" };
const WORDS = { answering: "answering", waiting: "not sent yet" };

const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

export class ChatRow {
  element = h("li", { class: "chat" });

  #name = h("span", { class: "name" });
  #when = h("small");
  #dot = h("span", { class: "dot", hidden: true });
  #about = h("span");
  #unread = h("span", { class: "hidden-visually", hidden: true }, "unread");
  #link;
  #more;
  #instead = null; // what stands in place of the link
  #isGone = false;

  /**
   * actions: {open(), rename(name), delete(), settled()}; rename and delete give "" or a sentence that says why not,
   * settled() is called when the link is back in its place.
   */
  constructor(key, actions) {
    this.actions = actions;
    this.#link = h("a", {
      href: `?session=${encodeURIComponent(key)}`,
      onclick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        actions.open();
      },
      onkeydown: (event) => this.#pressed(event),
    }, this.#name, this.#when, this.#unread, h("span", { class: "about" }, this.#dot, this.#about));
    this.#more = h("button", {
      type: "button", class: "more", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => this.#showMenu(),
    }, "⋯");
    this.element.append(this.#link, this.#more);
  }

  /** session: a row of sessions.list with {title, state: "answering" | "waiting" | "draft" | "", isMain, isListed} */
  update(session, isCurrent) {
    this.session = session;
    put(this.#name, session.title);
    const at = session.updatedAt;
    put(this.#when, at ? ago(at) : "");
    this.#link.title = at ? `${session.title}\n${fullMoment(at)}` : session.title;
    const word = WORDS[session.state];
    const preview = session.lastMessagePreview ?? "";
    put(this.#about, word ?? (session.state === "draft" ? "draft" : preview === session.title ? "" : preview));
    this.#dot.hidden = !word;
    this.#dot.className = `dot ${DOTS[session.state] ?? ""}`;
    this.#unread.hidden = !session.unread || isCurrent;
    this.#more.setAttribute("aria-label", `More for ${session.title}`);
    if (isCurrent) this.#link.setAttribute("aria-current", "page");
    else this.#link.removeAttribute("aria-current");
  }

  /** Whether somebody is giving it a name, or an answer. */
  get isBusy() {
    return this.#instead !== null;
  }

  focus() {
    this.#link.focus();
  }

  /** The chat is no more: a half-written name must not bring it back. */
  leave() {
    this.#isGone = true;
  }

  /** Whether Tab stops here: at one row of the list, the arrows go on from there. */
  set isStop(isStop) {
    this.#link.tabIndex = this.#more.tabIndex = isStop ? 0 : -1;
  }

  #pressed(event) {
    const act = { F2: () => this.rename(), Delete: () => this.askToDelete() }[event.key];
    if (act) {
      event.preventDefault();
      act();
      return;
    }
    const list = this.element.parentElement;
    const to = {
      ArrowDown: this.element.nextElementSibling, ArrowUp: this.element.previousElementSibling,
      Home: list.firstElementChild, End: list.lastElementChild,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    to?.querySelector("a")?.focus();
  }

  get #whyNotDelete() {
    return this.session.isMain ? "The main chat stays; /new begins it afresh" : "";
  }

  #showMenu() {
    showMenu(this.#more, this.session.title, [
      { label: "Rename", act: () => this.rename(), why: this.session.isListed ? "" : "Say something in it first" },
      { label: "Delete", act: () => this.askToDelete(), why: this.#whyNotDelete },
    ]);
  }

  #show(instead) {
    this.#instead?.remove();
    this.#instead = instead;
    this.#link.hidden = this.#more.hidden = instead !== null;
    if (instead) this.element.append(instead);
  }

  #back() {
    const hadFocus = this.element.contains(document.activeElement);
    this.#show(null);
    if (hadFocus) this.focus();
    this.actions.settled();
  }

  rename() {
    if (!this.session.isListed) return;
    const field = h("input", {
      "aria-label": "Name of the chat", maxlength: MAX_NAME, value: this.session.label ?? this.session.title,
      autocomplete: "off", spellcheck: "false",
    });
    const why = h("p", { class: "why", role: "alert", hidden: true });
    let done = false;
    const save = async () => {
      if (done || this.#isGone) return;
      done = true;
      const name = field.value.trim();
      const problem = name === (this.session.label ?? this.session.title) ? "" : await this.actions.rename(name);
      if (!problem) {
        this.#back();
        return;
      }
      done = false;
      why.textContent = problem;
      why.hidden = false;
      field.focus();
    };
    this.#show(h("form", {
      class: "rename",
      onsubmit: (event) => {
        event.preventDefault();
        save();
      },
      onkeydown: (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        done = true;
        this.#back();
      },
      onfocusout: () => why.hidden && save(),
    }, field, why));
    field.select();
    field.focus();
  }

  askToDelete() {
    if (this.#whyNotDelete) {
      this.#tell(this.#whyNotDelete);
      return;
    }
    const why = h("p", { class: "why", role: "alert", hidden: true });
    const keep = h("button", { type: "button", class: "btn", onclick: () => this.#back() }, "Keep");
    let asked = false;
    const yes = h("button", {
      type: "button", class: "btn",
      onclick: async () => {
        if (asked) return;
        asked = true;
        const problem = await this.actions.delete();
        if (!problem) return;
        asked = false;
        why.textContent = problem;
        why.hidden = false;
      },
    }, "Delete");
    this.#put(`Delete ${this.session.title}?`,
      h("p", {}, `Delete “${this.session.title}” and everything said in it?`), why, h("div", { class: "row" }, yes, keep));
    keep.focus();
  }

  #tell(sentence) {
    const good = h("button", { type: "button", class: "btn", onclick: () => this.#back() }, "Good");
    this.#put(this.session.title, h("p", { role: "alert" }, `${sentence}.`), h("div", { class: "row" }, good));
    good.focus();
  }

  /** A question in place of the link; it goes when somebody turns to something else. */
  #put(label, ...children) {
    const panel = h("div", {
      class: "sure", role: "group", "aria-label": label,
      onkeydown: (event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        this.#back();
      },
      onfocusout: ({ relatedTarget }) => {
        if (relatedTarget?.matches(":focus-visible") && !panel.contains(relatedTarget)) this.#back();
      },
    }, ...children);
    // Not before the press is complete: what it was meant for would move away below it.
    const pressed = ({ target }) => {
      if (panel.isConnected && panel.contains(target)) return;
      document.removeEventListener("click", pressed, { capture: true });
      if (panel.isConnected) this.#back();
    };
    document.addEventListener("click", pressed, { capture: true });
    this.#show(panel);
  }
}
