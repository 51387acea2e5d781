// One conversation in the order in which it reads: the transcript, what was sent and is not in it yet, the answers
// under way, and quiet notes. Pure. Items are those of transcript.js.

import { historyItems } from "./transcript.js";

/** What a run under way, or one that has just ended, shows. */
function runItem(run, partsBefore) {
  return {
    key: `run:${run.runId}`, kind: "answer", runId: run.runId, parts: [...partsBefore, ...run.parts],
    at: run.endedAt ?? null, live: run.state === "running", meta: run.meta ?? {}, stopped: run.stopped, short: run.short, error: run.error,
  };
}

/** An answer of the transcript, with what this tab knows of it besides. */
function answered(item, remembered) {
  const command = item.byGateway ? remembered.command(item.at) : null;
  const runId = command ? command.runId : item.runId;
  const answer = { ...item, meta: { ...remembered.meta(runId), ...item.meta } };
  if (!command) return [answer];
  const question = { key: `send:${runId}`, kind: "user", text: command.text, files: [], at: command.at, runId };
  return [question, { ...answer, key: `run:${runId}`, runId }];
}

function withNotes(items, notes) {
  for (const note of notes) {
    let index = items.findIndex((item) => item.key === note.after) + 1;
    if (!index) index = items.findIndex((item) => item.at > note.at);
    items.splice(index < 0 ? items.length : index, 0, { key: note.key, kind: "note", text: note.text });
  }
  return items;
}

/**
 * messages: of the transcript, oldest first · runs: Runs · sends: Sending.list() · remembered: Remembered ·
 * notes: [{key, after, at, text}]
 */
export function timeline({ messages, runs, sends, remembered, notes }) {
  const told = historyItems(messages);
  const items = [];
  const placed = new Set();
  const place = (runId) => {
    const run = runs.get(runId);
    if (!run || placed.has(runId)) return;
    placed.add(runId);
    if (run.state === "queued") return;
    // What a run under way has already finished saying, before its tools ran, is in the transcript.
    const before = told.find((item) => item.kind === "answer" && item.runId === runId);
    items.push(runItem(run, run.state === "done" ? [] : before?.parts ?? []));
  };
  for (const item of told) {
    const run = runs.get(item.runId);
    if (item.kind === "user") items.push(run?.state === "queued" ? { ...item, state: "queued" } : item);
    else if (!run) items.push(...answered(item, remembered));
    if (run) place(item.runId);
  }
  const known = new Set(told.filter((item) => item.kind === "user").map((item) => item.runId));
  const sent = new Set(sends.map((send) => send.runId));
  for (const runId of runs.ids()) if (!sent.has(runId)) place(runId);
  for (const { runId, text, files, at, state, error, kept } of sends) {
    if (known.has(runId)) continue; // done before the page was reloaded; the acknowledgement is on its way
    const queued = runs.get(runId)?.state === "queued";
    items.push({
      key: `send:${runId}`, kind: "user", text, files, at, runId, error, kept,
      state: state === "accepted" ? (queued ? "queued" : "") : state,
    });
    place(runId);
  }
  return withNotes(items, notes);
}
