// Other versions of the gateway: what is newer, an update under way, how the last one ended. Only who holds operator.admin may see and decide.

import { Disconnected } from "./calls.js";
import { size } from "./format.js";
import { localStore } from "./storage.js";

const ADMIN = "operator.admin";
const STATUS = "openclawd.update.status";
// The gateway's own limit: a slow line and a large program.
const RUN_TIMEOUT_MS = 30 * 60_000;
// Which version, and which end of an update, a person has seen enough of.
const PUT_AWAY = "update-put-away";

const ENDS = ["confirmed", "rolled-back", "failed"];

const STEPS = {
  checking: () => "Looking for the newest version",
  downloading: ({ to }) => `Downloading ${to}`,
  unpacking: ({ to }) => `Unpacking ${to}`,
  examining: ({ to }) => `Checking that ${to} can run here`,
  switching: ({ to }) => `Putting ${to} in its place`,
  restarting: ({ to }) => `Restarting into ${to}`,
  trial: ({ to }) => `${to} runs, and is watched`,
};

/** A gateway's words in the middle of a line, as a sentence. */
const sentence = (text = "") => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

export class Updates {
  #gateway;
  #changed;
  #status = null;
  #step = null; // an update under way, as the event `openclawd.update` tells it
  #problem = null; // {text, command}: why what was asked for here was not done
  #opened = false; // somebody wants to see it, put away or not
  #witnessed = false; // an update went on while this page looked
  #reading = 0;

  /** changed(): something of this is another. */
  constructor(gateway, changed) {
    this.#gateway = gateway;
    this.#changed = changed;
  }

  /** Whether this page may see and decide. */
  get isAllowed() {
    const scopes = this.#gateway.hello?.auth?.scopes ?? [ADMIN];
    return this.#gateway.offers(STATUS) && scopes.includes(ADMIN);
  }

  /** "" or a few words for the menu: something is newer, or under way. */
  get word() {
    if (this.#step) return "under way";
    return this.#status?.updateAvailable?.latestVersion ?? "";
  }

  /** What the card says, null where there is nothing to say: {kind, title, text?, notes?, command?, done?, total?, canRun?}. */
  get card() {
    if (this.#problem) return { kind: "problem", title: "No update", ...this.#problem };
    if (this.#step) return this.#stepCard();
    const { last, updateAvailable: newer } = this.#status ?? {};
    if (last && this.#isNews(last)) return this.#endCard(last);
    if (!newer || (!this.#opened && localStore.get(PUT_AWAY)?.version === newer.latestVersion)) return null;
    const { version, notes, command, updatesItself } = this.#status;
    return {
      kind: "available",
      title: `openclawd ${newer.latestVersion} is available`,
      text: updatesItself
        ? `${version} runs now. It restarts into the new version, and comes back if that is not well.`
        : `${version} runs now. On the gateway's computer this brings the new one:`,
      notes,
      command: updatesItself ? undefined : command,
      canRun: updatesItself,
    };
  }

  #stepCard() {
    const { phase, from, doneBytes: done, totalBytes: total } = this.#step;
    const title = STEPS[phase]?.(this.#step) ?? "An update is under way";
    if (phase === "trial") return { kind: "step", phase, title, text: `If it is not well, ${from} comes back by itself.` };
    const text = total ? `${size(done ?? 0)} of ${size(total)}` : undefined;
    return { kind: "step", phase, title, text, done: total ? (done ?? 0) : undefined, total };
  }

  #endCard({ from, to, outcome, reason }) {
    if (outcome === "confirmed") return { kind: "ended", title: `openclawd ${to} runs, and stays` };
    const title = outcome === "failed" ? `There was no update${to ? ` to ${to}` : ""}` : `${to} was not well, and ${from} is back`;
    return { kind: "ended", title, text: sentence(reason), command: outcome === "failed" ? undefined : "openclawd logs" };
  }

  #isNews({ outcome, atMs }) {
    if (localStore.get(PUT_AWAY)?.end >= atMs) return false;
    return outcome === "confirmed" ? this.#witnessed : true;
  }

  /** After each hello: what was missed is read. */
  async refresh() {
    const reading = ++this.#reading;
    let status = null;
    if (this.isAllowed) {
      try {
        status = await this.#gateway.request(STATUS);
      } catch (error) {
        if (error instanceof Disconnected) return; // it is read again after the next hello
      }
    }
    if (reading !== this.#reading) return;
    this.#status = status;
    this.#step = status?.progress && !ENDS.includes(status.progress.phase) ? status.progress
      : status?.trial ? { phase: "trial", ...status.trial } : null;
    this.#witnessed ||= this.#step !== null;
    this.#changed();
  }

  /** The payload of `openclawd.update`. */
  heardStep(payload) {
    if (!this.isAllowed) return;
    this.#witnessed = true;
    if (payload.phase === null || ENDS.includes(payload.phase)) {
      this.refresh();
      return;
    }
    this.#reading += 1; // what is being read is older
    this.#step = payload;
    this.#changed();
  }

  /** The payload of `update.available`. */
  heardAvailable() {
    this.refresh();
  }

  open() {
    this.#opened = true;
    this.#changed();
  }

  putAway() {
    const kept = localStore.get(PUT_AWAY) ?? {};
    const { last, updateAvailable } = this.#status ?? {};
    // Whoever is asked whether to update has not been told of an end.
    const seen = this.card?.kind === "available" ? { version: updateAvailable?.latestVersion } : { end: last?.atMs };
    this.#problem = null;
    this.#opened = false;
    localStore.set(PUT_AWAY, { ...kept, ...seen });
    this.#changed();
  }

  async run() {
    this.#problem = null;
    this.#witnessed = true;
    this.#step = { phase: "checking" };
    this.#changed();
    try {
      const { result } = await this.#gateway.request("update.run", {}, RUN_TIMEOUT_MS);
      if (result.status === "ok") return; // the rest is told by events, and after the restart
      this.#problem = result.status === "skipped" ? { text: "Nothing is newer than what runs." }
        : { text: sentence(result.reason), command: result.cure };
    } catch (error) {
      if (error instanceof Disconnected) return; // it goes on, and how is read after the next hello
      this.#problem = { text: sentence(error.message) };
    }
    await this.refresh();
    this.#changed();
  }
}
