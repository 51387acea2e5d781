// The gateway's sessions as rows of a list. After `sessions.subscribe` every change comes as an event with the row;
// a gateway without it is asked again when something was heard of a conversation.

import { Disconnected } from "./calls.js";

// A screenful or two; more are asked for when somebody wants them.
const PAGE = 60;
// Several ends in one moment ask for the list once.
const SETTLE_MS = 250;

const LISTED = { includeGlobal: true, includeUnknown: false, includeDerivedTitles: true, includeLastMessage: true };

export class Sessions {
  defaults = {};
  /** Whether there are older sessions than those that were listed. */
  hasMore = false;

  #gateway;
  #changed;
  #rows = new Map(); // key -> row
  #inList = new Set(); // keys of the list as it was read last
  #asked = new Set(); // keys that were asked for one by one since
  #listed = 0; // how many of the newest were asked for
  #running = new Map(); // key -> ids of the runs under way that were heard of
  #subscribed = false;
  #timer = 0;

  /** changed(): a row is another. */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
  }

  /** Newest first. */
  get rows() {
    return [...this.#rows.values()].filter((row) => !row.archived)
      .sort((a, b) => (b.updatedAt ?? 0) - (a.updatedAt ?? 0));
  }

  get(key) {
    return this.#rows.get(key) ?? null;
  }

  /** Whether an answer of the session is under way. */
  isAnswering(key) {
    return this.#running.get(key)?.size > 0 || (this.#rows.get(key)?.hasActiveRun ?? false);
  }

  /** After a hello; `recovered`: runs that began or ended in between are told. */
  async start({ recovered = false } = {}) {
    if (!recovered) this.#running.clear();
    // First the changes, then the list: so none is missed between the two.
    this.#subscribed = this.#gateway.offers("sessions.subscribe") && (await this.#try("sessions.subscribe", {})) !== null;
    await this.refresh();
  }

  async refresh() {
    const list = await this.#list({ limit: Math.max(PAGE, this.#listed) });
    if (!list) return;
    // What is not in the list is asked for anew; until then it is as it was.
    const apart = [...this.#asked].map((key) => this.#rows.get(key)).filter(Boolean);
    this.#rows = new Map([...apart, ...list.sessions].map((row) => [row.key, row]));
    this.#inList = new Set(list.sessions.map((row) => row.key));
    this.#asked.clear();
    this.#listed = list.sessions.length;
    this.hasMore = list.hasMore ?? list.sessions.length >= PAGE;
    this.#changed();
  }

  async more() {
    const list = await this.#list({ limit: this.#listed + PAGE });
    if (!list) return;
    this.#add(list.sessions);
    this.hasMore = list.hasMore ?? list.sessions.length > this.#listed;
    this.#listed = list.sessions.length;
    this.#changed();
  }

  /** Look for sessions beyond those that are listed; what is found joins them. */
  async search(text) {
    if (!this.hasMore) return;
    const list = await this.#list({ search: text, limit: PAGE });
    if (!list) return;
    this.#add(list.sessions);
    this.#changed();
  }

  /** Ask for sessions that stand further down than the list was read: one that is open, or has a draft. */
  async learn(keys) {
    if (!this.#inList.size || !this.#gateway.offers("sessions.describe")) return;
    const unknown = keys.filter((key) => key && !this.#inList.has(key) && !this.#asked.has(key));
    for (const key of unknown) this.#asked.add(key);
    await Promise.all(unknown.map(async (key) => {
      const before = this.#rows.get(key);
      try {
        const { session } = await this.#gateway.request("sessions.describe", { key });
        if (this.#rows.get(key) !== before) return; // an event was quicker
        if (session) this.#rows.set(key, session);
        else this.#rows.delete(key);
      } catch {
        return; // an address can name anything; what is wrong with it, its history says
      }
      this.#changed();
    }));
  }

  #add(rows) {
    for (const row of rows) this.#rows.set(row.key, row);
  }

  async #list(asked) {
    const list = await this.#try("sessions.list", { ...LISTED, ...asked });
    if (!list) return null;
    this.defaults = list.defaults ?? {};
    return { ...list, sessions: list.sessions ?? [] };
  }

  async #try(method, params) {
    try {
      return await this.#gateway.request(method, params);
    } catch (error) {
      if (!(error instanceof Disconnected)) console.warn(`${method}: ${error.message}`);
      return null;
    }
  }

  // Changing. Each gives "" or a sentence that says why not.

  rename(key, label) {
    return this.#change("sessions.patch", { key, label: label || null });
  }

  choose(key, changes) {
    return this.#change("sessions.patch", { key, ...changes });
  }

  /** Somebody looks at it. */
  isRead(key) {
    const row = this.#rows.get(key);
    if (!row?.unread) return;
    this.#rows.set(key, { ...row, unread: false });
    this.#try("sessions.patch", { key, unread: false });
  }

  async delete(key) {
    const why = await this.#change("sessions.delete", { key, deleteTranscript: true });
    if (!why) this.#rows.delete(key);
    this.#changed();
    return why;
  }

  async #change(method, params) {
    try {
      await this.#gateway.request(method, params);
      if (!this.#subscribed) this.#refreshSoon(0);
      return "";
    } catch (error) {
      if (error instanceof Disconnected) return "The gateway did not answer; try again.";
      return `That did not work: ${error.message.replace(/\.$/, "")}.`;
    }
  }

  // Hearing.

  /** `sessions.changed`. */
  heardChange({ sessionKey, reason, session }) {
    if (reason === "delete" || !session) {
      this.#rows.delete(sessionKey);
      this.#running.delete(sessionKey);
    } else {
      if (session.hasActiveRun === false) this.#running.delete(sessionKey);
      this.#rows.set(sessionKey, session);
      // The words may be left out of the row of an event.
      if (!session.lastMessagePreview) this.#refreshSoon();
    }
    this.#changed();
  }

  /** A `chat` or `agent` event: a run of the session began, goes on or has ended. */
  heardRun(key, runId, ended) {
    const running = this.#running.get(key) ?? new Set();
    const before = running.size;
    if (ended) running.delete(runId);
    else running.add(runId);
    this.#running.set(key, running);
    if (ended && this.#rows.get(key)?.activeRunIds?.includes(runId)) {
      const row = this.#rows.get(key);
      const activeRunIds = row.activeRunIds.filter((id) => id !== runId);
      this.#rows.set(key, { ...row, activeRunIds, hasActiveRun: activeRunIds.length > 0 });
    }
    if (!this.#subscribed && (ended || !this.#rows.has(key))) this.#refreshSoon();
    if ((before > 0) !== (running.size > 0)) this.#changed();
  }

  #refreshSoon(afterMs = SETTLE_MS) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), afterMs);
  }
}

/** What a person would call a session. */
export function titleOf(session, mainKey) {
  const given = session.label || session.derivedTitle || (session.displayName !== session.key && session.displayName);
  if (session.key === mainKey) return session.label || "Main";
  return given || session.lastMessagePreview || nameInKey(session.key);
}

/** What a key says to a person: without whose it is. */
export function nameInKey(key) {
  const name = key.split(":").slice(2).join(" ") || key;
  return /^chat-[0-9a-f]+$/.test(name) ? "New chat" : name;
}
