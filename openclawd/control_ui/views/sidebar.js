// The chats of this gateway, and on a phone the sheet that holds them.

import { arrange, byId } from "../dom.js";
import { uptime } from "../format.js";
import { nameInKey } from "../sessions.js";
import { ChatRow } from "./chat_row.js";

// A pause in typing, after which the gateway is asked as well.
const TYPING_MS = 250;

export class Sidebar {
  #sheet = byId("sidebar");
  #main = byId("main");
  #list = byId("chats");
  #search = byId("search");
  #rows = new Map();
  #sessions = [];
  #current = "";
  #typing = 0;

  /** actions: {open(key), fresh(), rename(key, name), delete(key), search(text), more()} */
  constructor(actions) {
    this.actions = actions;
    byId("new-chat").addEventListener("click", () => {
      this.close();
      actions.fresh();
    });
    byId("menu").addEventListener("click", () => this.openSheet());
    byId("backdrop").addEventListener("click", () => this.close());
    byId("close-menu").addEventListener("click", () => this.close());
    byId("more-chats").addEventListener("click", () => actions.more());
    this.#list.addEventListener("focusin", () => this.#setStop());
    this.#search.addEventListener("input", () => this.#searched());
    this.#search.addEventListener("keydown", (event) => this.#searchKey(event));
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k"
        && document.body.dataset.view === "chat") {
        event.preventDefault();
        this.openSheet();
        this.#search.select();
        this.#search.focus();
      }
    });
    // Growing wide turns the sheet into a column again.
    matchMedia("(max-width: 46rem)").addEventListener("change", () => this.close());
    setInterval(() => this.#foot(), 30_000);
  }

  get isOpen() {
    return document.body.hasAttribute("data-sheet");
  }

  openSheet() {
    if (!matchMedia("(max-width: 46rem)").matches) return;
    document.body.setAttribute("data-sheet", "");
    this.#main.inert = true;
    byId("menu").setAttribute("aria-expanded", "true");
    byId("close-menu").focus();
  }

  close() {
    if (!this.isOpen) return;
    document.body.removeAttribute("data-sheet");
    this.#main.inert = false;
    byId("menu").setAttribute("aria-expanded", "false");
    byId("menu").focus();
  }

  /** sessions: as ChatRow takes them, in the order of the list. */
  show(sessions, current, hasMore) {
    this.#sessions = sessions;
    this.#current = current;
    this.hasMore = hasMore;
    this.#draw();
  }

  greet(hello, pageIsOld) {
    this.hello = { version: hello.server.version, startedAt: Date.now() - (hello.snapshot.uptimeMs ?? 0) };
    byId("reload").hidden = !pageIsOld;
    this.#foot();
  }

  #foot() {
    if (!this.hello) return;
    byId("version").textContent = `${this.hello.version} · ${uptime(Date.now() - this.hello.startedAt)}`;
    this.#draw();
  }

  get #wanted() {
    return this.#search.value.trim().toLowerCase();
  }

  #matching() {
    const wanted = this.#wanted;
    return this.#sessions.filter(({ key, title, lastMessagePreview = "" }) =>
      [nameInKey(key), title, lastMessagePreview].some((text) => text.toLowerCase().includes(wanted)));
  }

  #searched() {
    this.#draw();
    clearTimeout(this.#typing);
    const wanted = this.#wanted;
    if (wanted) this.#typing = setTimeout(() => this.actions.search(wanted), TYPING_MS);
  }

  #searchKey(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.#search.value = "";
      this.#draw();
      this.close();
      byId("message").focus();
    } else if (event.key === "Enter") {
      event.preventDefault(); // or the message box, which has the focus by then, takes it for a new line
      const [first] = this.#matching();
      if (first) this.#choose(first.key);
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      this.#list.querySelector("a:not([hidden])")?.focus();
    }
  }

  #choose(key) {
    this.#search.value = "";
    this.close();
    this.actions.open(key);
    this.#draw();
  }

  #row(key) {
    let row = this.#rows.get(key);
    if (!row) {
      row = new ChatRow(key, {
        open: () => this.#choose(key),
        rename: (name) => this.actions.rename(key, name),
        delete: () => this.actions.delete(key),
        settled: () => this.#draw(),
      });
      this.#rows.set(key, row);
    }
    return row;
  }

  /** Tab stops at the row that has the focus, else at the open chat, else at the first. */
  #setStop() {
    const shown = [...this.#rows.values()].filter(({ element }) => element.parentElement);
    const stop = shown.find(({ element }) => element.contains(document.activeElement))
      ?? (this.#rows.get(this.#current)?.element.parentElement ? this.#rows.get(this.#current) : shown[0]);
    for (const row of shown) row.isStop = row === stop;
  }

  #draw() {
    const shown = this.#matching();
    const rows = new Map(this.#sessions.map(({ key }) => [key, this.#row(key)]));
    for (const [key, row] of this.#rows) if (!rows.has(key)) row.leave();
    this.#rows = rows;
    for (const session of shown) rows.get(session.key).update(session, session.key === this.#current);
    // Nothing moves under somebody who is giving a name or an answer.
    if (![...rows.values()].some((row) => row.isBusy)) {
      const at = [...this.#list.children].findIndex((element) => element.contains(document.activeElement));
      arrange(this.#list, shown.map(({ key }) => rows.get(key).element));
      // Where the row is gone that had the focus, the one in its place has it.
      if (at >= 0 && !this.#list.contains(document.activeElement)) {
        this.#list.children[Math.min(at, shown.length - 1)]?.querySelector("a").focus();
      }
    }
    this.#setStop();
    byId("no-match").hidden = shown.length > 0 || !this.#wanted;
    byId("more-chats").hidden = !this.hasMore || Boolean(this.#wanted);
  }
}
