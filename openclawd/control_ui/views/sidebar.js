// The chats of this gateway, and on a phone the sheet that holds them.

import { arrange, byId, h } from "../dom.js";
import { ago, fullMoment, uptime } from "../format.js";

const CHATS_BEFORE_SEARCH = 7;

/** What a person would call a session. */
export function titleOf(session, mainKey) {
  const given = session.label || session.derivedTitle || (session.displayName !== session.key && session.displayName);
  if (session.key === mainKey) return session.label || "Main";
  return given || session.lastMessagePreview || nameInKey(session.key);
}

const nameInKey = (key) => {
  const name = key.split(":").slice(2).join(" ") || key;
  return /^chat-[0-9a-f]+$/.test(name) ? "New chat" : name;
};

export class Sidebar {
  #sheet = byId("sidebar");
  #main = byId("main");
  #list = byId("chats");
  #search = byId("search");
  #rows = new Map();
  #sessions = [];
  #current = "";

  /** actions: {open(key), fresh()} */
  constructor(actions) {
    this.actions = actions;
    byId("new-chat").addEventListener("click", () => {
      this.close();
      actions.fresh();
    });
    byId("menu").addEventListener("click", () => this.openSheet());
    byId("backdrop").addEventListener("click", () => this.close());
    byId("close-menu").addEventListener("click", () => this.close());
    this.#search.addEventListener("input", () => this.#draw());
    this.#search.addEventListener("keydown", (event) => this.#searchKey(event));
    document.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k"
        && document.body.dataset.view === "chat") {
        event.preventDefault();
        this.openSheet();
        this.#search.hidden = false;
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

  show(sessions, current, mainKey) {
    this.#sessions = sessions.map((session) => ({ ...session, title: titleOf(session, mainKey) }));
    this.#current = current;
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

  #matching() {
    const wanted = this.#search.value.trim().toLowerCase();
    return this.#sessions.filter((session) => session.title.toLowerCase().includes(wanted));
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
      this.#list.querySelector("a")?.focus();
    }
  }

  #choose(key) {
    this.#search.value = "";
    this.close();
    this.actions.open(key);
    this.#draw();
  }

  #draw() {
    if (document.activeElement !== this.#search) {
      this.#search.hidden = this.#sessions.length <= CHATS_BEFORE_SEARCH && !this.#search.value;
    }
    const shown = this.#matching();
    arrange(this.#list, shown.map((session) => {
      let row = this.#rows.get(session.key);
      if (!row) {
        const open = (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return;
          event.preventDefault();
          this.#choose(session.key);
        };
        row = h("li", {}, h("a", { href: `?session=${encodeURIComponent(session.key)}`, onclick: open },
          h("span", { class: "name" }), h("small")));
        this.#rows.set(session.key, row);
      }
      const link = row.firstElementChild;
      const [name, when] = link.children;
      if (name.textContent !== session.title) name.textContent = session.title;
      link.title = session.updatedAt ? `${session.title}\n${fullMoment(session.updatedAt)}` : session.title;
      const about = session.updatedAt ? ago(session.updatedAt) : session.draft ? "draft" : "";
      const time = session.key !== this.#current ? about : "";
      if (when.textContent !== time) when.textContent = time;
      if (session.key === this.#current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      return row;
    }));
    byId("no-match").hidden = shown.length > 0 || !this.#search.value;
  }
}
