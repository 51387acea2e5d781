// One conversation: what the gateway remembers of it, what was sent from here, and the answers under way.
//
// A message keeps one idempotency key from the moment it is sent until the gateway has accepted it. When the connection
// or the page goes in between, it is sent again with the same key after the next hello, and the gateway does it once.
// Until then the tab keeps it (sessionStorage). After every hello the transcript is read afresh, so nothing depends on
// having seen every event.

import { randomHex } from "./bytes.js";
import { Disconnected } from "./gateway.js";
import { Shelf, unsent } from "./storage.js";
import { foldText, historyItems, metaOf, runOf, textOf } from "./transcript.js";

const HISTORY_LIMIT = 200;
// The clocks are compared once a handshake; a transcript's time stamp may be this much off against ours.
const CLOCK_SLACK_MS = 3_000;
// What the transcript does not tell is kept for this many answers.
const REMEMBERED_ANSWERS = 50;
const askedCommands = new Shelf("commands");
const answerMetas = new Shelf("metas");

const isCommand = (text) => text.startsWith("/");
/** A message that puts away what was said so far. */
export const BEGINS_AFRESH = /^\/(?:new|reset)\b/i;
const isOpen = (run) => run.state !== "done";

export class Conversation {
  loaded = false;
  loadError = null;

  #gateway;
  #changed;
  #messages = [];
  #sends = []; // {runId, text, at, state: "sending" | "accepted" | "failed", error?}
  #runs = new Map(); // runId -> {runId, state: "queued" | "running" | "done", parts, ...}
  #commands = new Map(); // the time stamp of an answer -> the command it answers: a transcript keeps only the answer
  #metas = new Map(); // runId -> what its end said and the transcript does not: time and tokens
  #notes = []; // {key, after, at, text}
  #sequence = 0; // moves with every end of a run: a transcript asked for before it may miss it
  #pumping = false;
  #loading = null;

  constructor(key, gateway, changed) {
    this.key = key;
    this.#gateway = gateway;
    this.#changed = () => changed(this);
    this.#sends = unsent.get(key) ?? [];
    this.#commands = new Map(askedCommands.get(key));
    this.#metas = new Map(answerMetas.get(key));
  }

  // A reload must not lose what the gateway does not have yet. What it has, it keeps itself.
  #keepUnsent() {
    unsent.put(this.key, this.#sends.filter((send) => send.state !== "accepted"));
  }

  get busy() {
    return this.activeRun !== null;
  }

  /** The run that a stop would end: the one under way, else the first that waits. */
  get activeRun() {
    const open = [...this.#runs.values()].filter(isOpen);
    return open.find((run) => run.state === "running") ?? open[0] ?? null;
  }

  get empty() {
    return !this.#messages.length && !this.#sends.length && !this.#runs.size;
  }

  items() {
    const remembered = historyItems(this.#messages);
    const items = [];
    const placed = new Set();
    const withRun = (runId) => {
      const run = this.#runs.get(runId);
      if (!run || placed.has(runId)) return;
      placed.add(runId);
      if (run.state === "queued") return;
      // What a run under way has already finished saying, before its tools ran, is in the transcript.
      const before = remembered.find((item) => item.kind === "answer" && item.runId === runId);
      items.push(this.#runItem(run, isOpen(run) ? before?.parts : []));
    };
    for (const item of remembered) {
      const run = this.#runs.get(item.runId);
      if (item.kind === "user") items.push(run?.state === "queued" ? { ...item, state: "queued" } : item);
      else if (!run) items.push(...this.#answered(item));
      if (run) withRun(item.runId);
    }
    const known = new Set(remembered.filter((item) => item.kind === "user").map((item) => item.runId));
    const sent = new Set(this.#sends.map((send) => send.runId));
    for (const runId of this.#runs.keys()) if (!sent.has(runId)) withRun(runId);
    for (const send of this.#sends) {
      if (known.has(send.runId)) continue; // done before the page was reloaded; the acknowledgement is on its way
      const queued = this.#runs.get(send.runId)?.state === "queued";
      items.push({
        key: `send:${send.runId}`, kind: "user", text: send.text, at: send.at, runId: send.runId,
        state: send.state === "accepted" ? (queued ? "queued" : "") : send.state, error: send.error,
      });
      withRun(send.runId);
    }
    for (const note of this.#notes) {
      let index = items.findIndex((item) => item.key === note.after) + 1;
      if (!index) index = items.findIndex((item) => item.at > note.at);
      items.splice(index < 0 ? items.length : index, 0, { key: note.key, kind: "note", text: note.text });
    }
    if (this.#messages.length >= HISTORY_LIMIT) {
      items.unshift({ key: "earlier", kind: "note", text: "Earlier messages are kept by the gateway but not shown here" });
    }
    return items;
  }

  #answered(item) {
    const command = item.byGateway && this.#commands.get(item.at);
    const runId = command ? command.runId : item.runId;
    const answer = { ...item, meta: { ...this.#metas.get(runId), ...item.meta } };
    if (!command) return [answer];
    const question = { key: `send:${runId}`, kind: "user", text: command.text, at: command.at, runId };
    return [question, { ...answer, key: `run:${runId}`, runId }];
  }

  #runItem(run, partsBefore = []) {
    return {
      key: `run:${run.runId}`, kind: "answer", runId: run.runId, parts: [...partsBefore, ...run.parts],
      at: run.endedAt ?? null,
      live: run.state === "running", meta: run.meta ?? {}, stopped: run.stopped, error: run.error,
    };
  }

  /** A quiet line at the end of what is there now. */
  note(text) {
    const last = this.items().at(-1);
    const at = Date.now() + this.#gateway.clockOffsetMs;
    this.#notes.push({ key: `note:${randomHex(4)}`, after: last?.key, at, text });
    this.#changed();
  }

  // Sending.

  send(text) {
    this.#sends.push({ runId: randomHex(16), text, at: Date.now(), state: "sending" });
    this.#keepUnsent();
    this.#changed();
    this.#pump();
  }

  /** Send a message again that was refused or whose answer failed. */
  resend(runId) {
    const failed = this.#sends.find((send) => send.runId === runId && send.state === "failed");
    if (failed) {
      failed.state = "sending";
      failed.error = null;
      this.#keepUnsent();
      this.#changed();
      this.#pump();
      return;
    }
    const items = this.items();
    const until = items.findIndex((item) => item.key === `run:${runId}` || item.key === runId);
    const asked = items.slice(0, until < 0 ? undefined : until).findLast((item) => item.kind === "user");
    if (asked) this.send(asked.text);
  }

  /** Take back a message that was refused; its text. */
  discard(runId) {
    const index = this.#sends.findIndex((send) => send.runId === runId && send.state === "failed");
    if (index < 0) return "";
    const [{ text }] = this.#sends.splice(index, 1);
    this.#keepUnsent();
    this.#changed();
    return text;
  }

  // One at a time and in order: the gateway may serve two requests of one client side by side.
  async #pump() {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (;;) {
        const send = this.#sends.find((one) => one.state === "sending");
        if (!send || !(await this.#deliver(send))) return;
        this.#keepUnsent();
        this.#changed();
      }
    } finally {
      this.#pumping = false;
    }
  }

  async #deliver(send) {
    try {
      const ack = await this.#gateway.request("chat.send", {
        sessionKey: this.key, message: send.text, deliver: false, idempotencyKey: send.runId,
      });
      send.state = "accepted";
      this.#sequence += 1;
      if (ack?.aborted !== undefined) this.#stoppedByText(send, ack);
      else if (ack?.status === "ok") this.load();
      else this.#run(send.runId, send.at);
      if (BEGINS_AFRESH.test(send.text)) this.load();
      return true;
    } catch (error) {
      if (error instanceof Disconnected) {
        this.#gateway.distrust(); // open, but no acknowledgement came: the next connection will tell
        return false; // stays as it is; resume() sends it again
      }
      send.state = "failed";
      send.error = error.message;
      return true;
    }
  }

  #stoppedByText(send, ack) {
    this.#sends.splice(this.#sends.indexOf(send), 1);
    if (!ack.aborted) this.note("nothing was running");
  }

  #run(runId, startedAt) {
    let run = this.#runs.get(runId);
    if (!run) {
      run = { runId, state: this.busy ? "queued" : "running", parts: [], startedAt, fresh: true };
      this.#runs.set(runId, run);
      this.#sequence += 1;
    }
    return run;
  }

  async stop() {
    const run = this.activeRun;
    if (!run) return;
    try {
      const { aborted } = await this.#gateway.request("chat.abort", { sessionKey: this.key, runId: run.runId });
      if (!aborted) this.load();
    } catch (error) {
      if (!(error instanceof Disconnected)) this.note(`the answer could not be stopped: ${error.message}`);
    }
  }

  // Reading.

  /**
   * After a hello: what was not acknowledged goes first, then the transcript shows where things stand.
   * Tells whether an answer that was under way has ended without a word.
   */
  async resume() {
    const wasRunning = [...this.#runs.values()].some((run) => run.state === "running");
    for (const run of this.#runs.values()) run.fresh = false;
    await this.#pump();
    await this.load();
    return wasRunning && !this.busy && this.items().at(-1)?.kind === "user";
  }

  load() {
    this.#loading ??= this.#load().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #load() {
    for (let tries = 0; tries < 4; tries += 1) {
      const sequence = this.#sequence;
      let history;
      try {
        history = await this.#gateway.request("chat.history", { sessionKey: this.key, limit: HISTORY_LIMIT });
      } catch (error) {
        this.loadError = error instanceof Disconnected ? null : error.message;
        this.#changed();
        return;
      }
      if (sequence === this.#sequence || tries === 3) {
        this.#apply(history);
        return;
      }
    }
  }

  #apply(history) {
    this.loaded = true;
    this.loadError = null;
    this.#messages = history.messages ?? [];
    const active = new Map((history.activeRuns ?? []).map((run) => [run.runId, run]));
    for (const run of this.#runs.values()) if (!this.#survives(run, active, history)) this.#runs.delete(run.runId);
    for (const { runId, state, text, startedAt } of active.values()) {
      const run = this.#run(runId, startedAt);
      // What came before the current text is in the transcript now; a text heard since is newer than the listed one.
      const newest = (run.fresh && run.parts.findLast((part) => part.kind === "text")?.text) || text;
      run.parts = newest ? [{ kind: "text", text: newest }] : [];
      run.state = state === "queued" ? "queued" : "running";
    }
    // Accepted and over: the transcript speaks for it. Accepted and in the transcript: it is shown once.
    this.#sends = this.#sends.filter(
      (send) => send.state !== "accepted" || (this.#runs.has(send.runId) && !this.#isRemembered(send)),
    );
    this.#changed();
  }

  #survives(run, active, history) {
    if (run.error) return !this.#messages.some((message) => message.errorMessage);
    // A gateway that does not list its runs leaves those alone that are still heard of.
    return history.activeRuns ? active.has(run.runId) : isOpen(run) && run.fresh;
  }

  #isRemembered(send) {
    const earliest = send.at + this.#gateway.clockOffsetMs - CLOCK_SLACK_MS;
    return this.#messages.some((message) => message.role === "user"
      && (runOf(message) === send.runId
        || (!runOf(message) && textOf(message.content) === send.text && message.timestamp >= earliest)));
  }

  // Hearing.

  /** An `agent` event of this session: when a run begins, and which tools it uses. */
  heardAgent({ runId, stream, data }) {
    if (stream === "lifecycle" && data?.phase === "start") {
      this.#begin(runId, data.startedAt);
    } else if (stream === "tool") {
      const run = this.#begin(runId);
      if (data.phase === "start") {
        run.parts.push({ kind: "tool", id: data.toolCallId, name: data.name, args: data.args, startedAt: Date.now() });
      } else if (data.phase === "result") {
        const tool = run.parts.find((part) => part.id === data.toolCallId);
        if (tool) {
          Object.assign(tool, { done: true, isError: data.isError, tookMs: Date.now() - tool.startedAt });
          if (data.result !== undefined) tool.result = textOf(data.result.content ?? data.result);
        }
      }
    } else {
      return;
    }
    this.#changed();
  }

  /** A `chat` event of this session. Returns the answer's text when it is complete. */
  heardChat({ runId, state, message, errorMessage, usage }) {
    const run = this.#begin(runId);
    if (state === "delta") {
      foldText(run.parts, textOf(message?.content));
      this.#changed();
      return null;
    }
    if (state !== "final" && state !== "aborted" && state !== "error") return null;
    if (message) foldText(run.parts, textOf(message.content));
    run.state = "done";
    run.endedAt = Date.now();
    run.stopped = state === "aborted";
    run.error = state === "error" ? errorMessage ?? "The answer broke off." : null;
    run.meta = metaOf({ usage, ...message });
    if (run.startedAt) run.meta.tookMs = run.endedAt - run.startedAt;
    this.#metas.set(runId, run.meta);
    answerMetas.put(this.key, [...this.#metas].slice(-REMEMBERED_ANSWERS));
    this.#sequence += 1;
    const next = [...this.#runs.values()].find((one) => one.state === "queued");
    if (next && !this.#runningOther(runId)) Object.assign(next, { state: "running", startedAt: Date.now() });
    const asked = this.#sends.find((send) => send.runId === runId);
    if (asked && isCommand(asked.text) && message?.timestamp) {
      this.#commands.set(message.timestamp, { runId, text: asked.text, at: asked.at });
      askedCommands.put(this.key, [...this.#commands].slice(-REMEMBERED_ANSWERS));
    }
    // The transcript knows what the event did not say: a silent end, what was asked elsewhere, what tools answered.
    if ((state === "final" && !message) || !asked || run.parts.some((part) => part.kind === "tool")) this.load();
    this.#changed();
    return state === "final" ? textOf(message?.content) : null;
  }

  #runningOther(runId) {
    return [...this.#runs.values()].some((run) => run.runId !== runId && run.state === "running");
  }

  #begin(runId, startedAt) {
    const known = this.#runs.has(runId);
    const send = this.#sends.find((one) => one.runId === runId);
    // What is being answered was accepted, also when the acknowledgement itself got lost.
    if (send?.state === "sending") {
      send.state = "accepted";
      this.#keepUnsent();
    }
    const run = this.#run(runId, startedAt ?? Date.now());
    if (run.state === "queued") Object.assign(run, { state: "running", startedAt: startedAt ?? Date.now() });
    run.fresh = true;
    // Asked from another page: its question is in the transcript.
    if (!known && !send) this.load();
    return run;
  }
}
