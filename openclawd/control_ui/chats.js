// The list of chats as the sidebar shows it: what the gateway lists, and what only this browser knows of yet.

import { isMain, mainKey } from "./address.js";
import { titleOf } from "./sessions.js";
import { drafts } from "./storage.js";

// The main chat stands first; then what is pinned; the rest as it comes.
const rank = (chat) => (chat.isMain ? 0 : chat.pinned ? 1 : 2);

/**
 * Rows of sessions.list with {title, state, isMain, isListed}; `state` is "answering", "waiting", "draft" or "".
 * current: the key of the open chat · isBusy(key): an answer is under way there, as far as this page knows.
 */
export function chatList({ sessions, outbox, online, current, isBusy }) {
  const drafted = new Set(drafts.keys);
  const stateOf = (key) => {
    if (sessions.isAnswering(key) || isBusy(key)) return "answering";
    if (!online && outbox.of(key).length) return "waiting";
    return key !== current && drafted.has(key) ? "draft" : "";
  };
  const own = [...new Set([mainKey(), current, ...drafted, ...outbox.keys])]
    .filter((key) => key && !sessions.get(key)).map((key) => ({ key }));
  return [...own, ...sessions.rows].map((row) => ({
    ...row, title: titleOf(row, mainKey()), state: stateOf(row.key), isMain: isMain(row.key),
    isListed: sessions.get(row.key) !== null,
  })).sort((a, b) => rank(a) - rank(b));
}
