// What the gateway remembers of one conversation, as far as it was read: the newest messages, and older ones a page at
// a time. Pure: pages of `chat.history` go in. A message's `__openclaw {id, seq}` tells it from all others, and where it stands.

const idOf = (message) => message.__openclaw?.id ?? null;

function comesBefore(one, other) {
  const [a, b] = [one.__openclaw, other.__openclaw];
  return a.seq === b.seq ? Number(a.id) < Number(b.id) : a.seq < b.seq;
}

export class History {
  messages = [];
  sessionId = null;
  /** Whether there are older messages than those that were read. */
  hasMore = false;

  /** The newest page. Older messages that were read before stay where they connect to it. */
  newest({ messages = [], sessionId = null, hasMore = false }) {
    const before = this.messages;
    const same = sessionId === this.sessionId;
    const connects = same && messages.length && [...messages, ...before].every(idOf)
      && before.some((message) => idOf(message) === idOf(messages[0]));
    const older = connects ? before.filter((message) => comesBefore(message, messages[0])) : [];
    this.messages = [...older, ...messages];
    this.sessionId = sessionId;
    if (!older.length) this.hasMore = hasMore;
  }

  /** A page of what comes before. False: it is of another conversation than the one that was read. */
  older({ messages = [], sessionId = null, hasMore = false }) {
    if (sessionId !== this.sessionId) return false;
    const known = new Set(this.messages.map(idOf));
    const added = messages.filter((message) => !known.has(idOf(message)));
    this.messages = [...added, ...this.messages];
    this.hasMore = hasMore && messages.length > 0;
    return true;
  }
}
