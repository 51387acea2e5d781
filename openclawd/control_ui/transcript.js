// From what the gateway remembers of a conversation to what is shown. Pure: values in, values out.
//
// An item is {key, kind, ...}; equal keys are the same thing on the screen. Kinds:
//   day {at} · user {text, files, at, state?, cut?} · answer {parts, at, meta, error?, stopped?, short?} · note {text}
// A file of a user's item is {kind: "image" | "file", mimeType, fileName?, bytes, attachmentId}.
// A part of an answer is {kind: "text" | "thinking", text}, {kind: "cut"} where a text was shortened, or {kind: "tool", id, name, args, result?, isError?}.

/** The text of a message's content: a string, or blocks of which only the text ones count. */
export function textOf(content) {
  if (typeof content === "string") return content;
  return (content ?? []).filter((block) => block.type === "text").map((block) => block.text).join("\n");
}

// Which run a message belongs to, where the gateway says so ("<run>:user", "<run>:assistant").
export const runOf = (message) => message.idempotencyKey?.replace(/:(?:user|assistant)$/, "") ?? null;

// The same message gives the same key on every load, and where its run is known the key that it had while it was live;
// two equal ones in one millisecond are told apart by their order.
function keyer() {
  const seen = new Map();
  return (message) => {
    const run = runOf(message);
    const base = run ? `${message.role === "user" ? "send" : "run"}:${run}`
      : `${message.role}:${message.timestamp ?? 0}:${message.toolCallId ?? ""}`;
    const nth = seen.get(base) ?? 0;
    seen.set(base, nth + 1);
    return nth ? `${base}:${nth}` : base;
  };
}

function parts(content) {
  const blocks = typeof content === "string" ? [{ type: "text", text: content }] : content ?? [];
  return blocks.flatMap((block) => {
    if (block.type === "text") {
      const text = block.text?.replace(CUT_MARK, "");
      return [text && { kind: "text", text }, text !== block.text && { kind: "cut" }].filter(Boolean);
    }
    if (block.type === "thinking") return block.thinking ? [{ kind: "thinking", text: block.thinking }] : [];
    if (block.type === "toolCall") return [{ kind: "tool", id: block.id, name: block.name, args: block.arguments }];
    return [];
  });
}

// The end of a text that was too long to be sent whole.
const CUT_MARK = /\s*\.\.\.\(truncated\)\.\.\.$/;

/** The files of a message: their bytes are asked for by `attachmentId`. */
function filesOf(content) {
  return (Array.isArray(content) ? content : [])
    .filter((block) => (block.type === "image" || block.type === "file") && block.attachmentId)
    .map(({ type, mimeType, fileName, bytes, attachmentId }) => ({ kind: type, mimeType, fileName, bytes, attachmentId }));
}

const usageTotal = (usage) => usage?.totalTokens ?? (usage?.input ?? 0) + (usage?.output ?? 0);

/** The provider of the model that answers when none is connected. */
export const BUILT_IN = "openclawd";

// The answer to a command: an answer of its own, whatever stands before it.
const saidByGateway = (message) => message.model === "gateway-injected";

/** The quiet line below an answer: {model?, tokens?, cost?}, only what is known; the cost in US dollars. */
export function metaOf(message) {
  const meta = {};
  if (message?.model && !saidByGateway(message) && message.provider !== BUILT_IN) meta.model = message.model;
  const tokens = usageTotal(message?.usage);
  if (tokens) meta.tokens = tokens;
  if (tokens && message.usage.cost?.total) meta.cost = message.usage.cost.total;
  return meta;
}

/**
 * The items of a transcript, oldest first. What belongs to one run is one answer, right after its question, although
 * questions that waited for their turn stand before it in the transcript. Where the gateway names no runs, consecutive
 * assistant messages and their tool results are one answer.
 */
export function historyItems(messages) {
  const items = [];
  const tools = new Map();
  const keyOf = keyer();
  let last = null;
  const place = (item) => {
    const question = item.runId ? items.findLastIndex((one) => one.kind === "user" && one.runId === item.runId) : -1;
    items.splice(question < 0 ? items.length : question + 1, 0, item);
    return item;
  };
  for (const message of messages) {
    const key = keyOf(message);
    const runId = runOf(message);
    const at = message.timestamp ?? null;
    if (message.role === "user") {
      last = null;
      const text = textOf(message.content);
      const shown = text.replace(CUT_MARK, "");
      const files = filesOf(message.content);
      if (text || files.length) items.push({ key, kind: "user", text: shown, files, cut: shown !== text, at, runId });
    } else if (message.role === "assistant") {
      const own = parts(message.content);
      for (const part of own) if (part.kind === "tool") tools.set(part.id, part);
      const stopped = message.stopReason === "aborted" || Boolean(message.openclawAbort);
      const error = message.errorMessage ?? null;
      if (!own.length && !error && !stopped) continue;
      const continues = last && !last.runId && !saidByGateway(message) && !last.byGateway ? last : null;
      const mine = runId ? items.findLast((item) => item.kind === "answer" && item.runId === runId) : continues;
      last = mine ?? place({ key, kind: "answer", parts: [], runId });
      last.parts.push(...own);
      last.byGateway = saidByGateway(message);
      Object.assign(last, { at, meta: metaOf(message), stopped, short: message.stopReason === "length", error });
    } else if (message.role === "toolResult") {
      const result = textOf(message.content);
      const outcome = { result, isError: Boolean(message.isError) };
      const call = tools.get(message.toolCallId);
      const part = { kind: "tool", id: message.toolCallId, name: message.toolName, ...outcome };
      if (call) Object.assign(call, outcome);
      else place({ key, kind: "answer", parts: [part], at, meta: {}, runId });
    }
  }
  return items;
}

/** A line with the day before the first item of each day that is not today. */
export function withDays(items, sameDay, now) {
  const result = [];
  let last = now;
  for (const item of items) {
    if (item.at && !sameDay(item.at, last)) {
      result.push({ key: `day:${new Date(item.at).toDateString()}:${item.key}`, kind: "day", at: item.at });
      last = item.at;
    }
    result.push(item);
  }
  return result;
}

/**
 * Fold a delta into a run's parts: {message?, deltaText?, replace?}. `message` has the whole text so far, which begins
 * from nothing after each tool call, so one that does not continue the last text is a new part; where it is missing,
 * `deltaText` is what is new, or with `replace` all of it.
 */
export function foldDelta(partsSoFar, { message, deltaText = "", replace = false }) {
  const last = partsSoFar.at(-1);
  const before = last?.kind === "text" ? last.text : "";
  const text = message ? textOf(message.content) : replace ? deltaText : before + deltaText;
  const continues = replace || text.startsWith(before.slice(0, 40)) || before.startsWith(text);
  if (last?.kind === "text" && continues) last.text = text;
  else if (text) partsSoFar.push({ kind: "text", text });
}
