// The answers of one conversation that are under way, as its events tell them. The transcript has the last word: what
// it lists as active is adopted, what it does not list is over.

import { foldDelta, metaOf, textOf } from "./transcript.js";

const isOpen = (run) => run.state !== "done";

export class Runs {
  /** Moves with every beginning and end: a transcript that was asked for before may miss it. */
  changes = 0;

  #runs = new Map(); // runId -> {runId, state: "queued" | "running" | "done", parts, fresh, startedAt, ...}

  get size() {
    return this.#runs.size;
  }

  get(runId) {
    return this.#runs.get(runId) ?? null;
  }

  ids() {
    return [...this.#runs.keys()];
  }

  /** The run that a stop would end: the one under way, else the first that waits. */
  get active() {
    const open = [...this.#runs.values()].filter(isOpen);
    return open.find((run) => run.state === "running") ?? open[0] ?? null;
  }

  get anyRunning() {
    return [...this.#runs.values()].some((run) => run.state === "running");
  }

  hasEnded(runId) {
    return this.#runs.get(runId)?.state === "done";
  }

  /** The run of that id, new if need be; one behind another that is open waits. */
  accept(runId, startedAt) {
    let run = this.#runs.get(runId);
    if (!run) {
      run = { runId, state: this.active ? "queued" : "running", parts: [], startedAt, fresh: true };
      this.#runs.set(runId, run);
      this.changes += 1;
    }
    return run;
  }

  /** Something was heard of it, so it is under way. */
  begin(runId, startedAt = Date.now()) {
    const run = this.accept(runId, startedAt);
    if (run.state === "queued") Object.assign(run, { state: "running", startedAt });
    run.fresh = true;
    return run;
  }

  /** It begins: again, if it was interrupted, and what it said before is void as soon as it says something. */
  start(run) {
    run.again = run.begun && run.parts.length > 0;
    run.begun = true;
  }

  /** More of its answer: {message?, deltaText?, replace?}. */
  delta(run, said) {
    this.#goesOn(run);
    foldDelta(run.parts, said);
  }

  #goesOn(run) {
    if (run.again) run.parts = [];
    run.again = false;
  }

  /** A tool of a run begins or ends. */
  tool(run, { phase, toolCallId, name, args, isError, result }) {
    if (phase === "start") {
      this.#goesOn(run);
      run.parts.push({ kind: "tool", id: toolCallId, name, args, startedAt: Date.now() });
    } else if (phase === "result") {
      const tool = run.parts.find((part) => part.id === toolCallId);
      if (!tool) return;
      Object.assign(tool, { done: true, isError, tookMs: Date.now() - tool.startedAt });
      if (result !== undefined) tool.result = textOf(result.content ?? result);
    }
  }

  /** The last event of a run; the next one that waits is under way. */
  end(run, { state, message, errorMessage, usage, stopReason }) {
    this.#goesOn(run);
    if (message) foldDelta(run.parts, { message });
    run.state = "done";
    run.endedAt = Date.now();
    run.stopped = state === "aborted";
    run.short = stopReason === "length";
    run.error = state === "error" ? errorMessage ?? "The answer broke off." : null;
    run.meta = metaOf({ ...run.model, usage, ...message });
    if (run.startedAt) run.meta.tookMs = run.endedAt - run.startedAt;
    this.changes += 1;
    const next = [...this.#runs.values()].find((one) => one.state === "queued");
    if (next && !this.anyRunning) Object.assign(next, { state: "running", startedAt: Date.now() });
  }

  /** The connection is a new one: nothing has been heard on it. */
  stale() {
    for (const run of this.#runs.values()) run.fresh = false;
  }

  /** `activeRuns` of a transcript; `errorsAreKnown` where failed answers are in it. */
  adopt(activeRuns, errorsAreKnown) {
    const active = new Map((activeRuns ?? []).map((run) => [run.runId, run]));
    for (const run of this.#runs.values()) {
      // A gateway that does not list its runs leaves those alone that are still heard of.
      const survives = run.error ? !errorsAreKnown : activeRuns ? active.has(run.runId) : isOpen(run) && run.fresh;
      if (!survives) this.#runs.delete(run.runId);
    }
    for (const { runId, state, text, startedAt } of active.values()) {
      const run = this.accept(runId, startedAt);
      // What came before the current text is in the transcript now; a text heard since is newer than the listed one.
      const newest = (run.fresh && !run.again && run.parts.findLast((part) => part.kind === "text")?.text) || text;
      // Interrupted, and not a word yet since: what it said before stands until then.
      run.again = !newest && run.parts.at(-1)?.kind === "text";
      if (!run.again) run.parts = newest ? [{ kind: "text", text: newest }] : [];
      run.begun = state !== "queued" || run.again;
      run.state = state === "queued" && !run.again ? "queued" : "running";
    }
  }

  clear() {
    this.#runs.clear();
    this.changes += 1;
  }
}
