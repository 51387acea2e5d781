// The page put together: the gateway's state and events on one side, the views on the other.

import { deviceTokenStorageKey, giveSecret, pickCredential, takeFromAddress } from "./credentials.js";
import { BEGINS_AFRESH, Conversation } from "./conversation.js";
import { announce, byId } from "./dom.js";
import { duration } from "./format.js";
import { Disconnected, Gateway } from "./gateway.js";
import { renewIdentity } from "./identity.js";
import { randomHex } from "./bytes.js";
import { drafts, unsent } from "./storage.js";
import { BUILT_IN } from "./transcript.js";
import { Composer } from "./views/composer.js";
import { Dock } from "./views/dock.js";
import { Door } from "./views/door.js";
import { Pill } from "./views/pill.js";
import { Sidebar, titleOf } from "./views/sidebar.js";
import { Stream } from "./views/stream.js";

// Several ends in one moment ask for the list once.
const SESSIONS_SETTLE_MS = 250;
const SESSIONS_LIMIT = 100;
// A plain loss shorter than this is nobody's business.
const GAP_WORTH_A_LINE_MS = 5_000;
// What a screen reader hears of an answer; the rest is there to be read.
const SPOKEN_CHARACTERS = 400;

takeFromAddress();

const gateway = new Gateway();
const conversations = new Map();
let defaults = { defaultAgentId: "main", mainSessionKey: "agent:main:main" };
let sessions = [];
let sessionDefaults = {};
let current = null;
let firstVersion = null;

const pill = new Pill();
const door = new Door({
  give(kind, value) {
    giveSecret(kind, value);
    gateway.retry();
  },
  retry: () => gateway.retry(),
  renew() {
    renewIdentity();
    gateway.retry();
  },
});
const dock = new Dock({
  approve: (requestId, name) => decide("approve", requestId, `${name} was let in`),
  reject: (requestId, name) => decide("reject", requestId, `${name} was turned away`),
  retry: () => gateway.retry(),
});
const composer = new Composer({
  send(text) {
    if (BEGINS_AFRESH.test(text) && !(current.loaded && current.empty)) askBeforeAfresh(current, text);
    else send(text);
  },
  stop: () => current.stop(),
});
const stream = new Stream({
  resend: (runId) => current.resend(runId),
  edit(runId) {
    const text = current.discard(runId);
    if (text) composer.add(text);
  },
});
const sidebar = new Sidebar({ open: (key) => openSession(key, true), fresh: startFresh });

function send(text) {
  current.send(text);
  stream.toEnd();
}

function askBeforeAfresh(asked, text) {
  dock.ask("Put this conversation away?", "Put away", "Keep it", (putAway) => {
    if (putAway) send(text);
    else if (current === asked && /\s/.test(text)) composer.add(text); // more than the command was written
    composer.focus();
  });
}

// Which conversation.

/** The key as the gateway writes it: "main" and bare names are short forms, case does not count. */
function canonical(key) {
  const name = (key ?? "").trim().toLowerCase();
  if (!name || name === "main") return defaults.mainSessionKey;
  if (name.startsWith("agent:") || name === "global" || name === "unknown") return name;
  return `agent:${defaults.defaultAgentId}:${name}`;
}

const keyInAddress = () => canonical(new URLSearchParams(location.search).get("session"));

function conversation(key) {
  let found = conversations.get(key);
  if (!found) {
    found = new Conversation(key, gateway, changed);
    conversations.set(key, found);
  }
  return found;
}

function openSession(key, push) {
  if (push && key !== current?.key) {
    const query = key === defaults.mainSessionKey ? location.pathname : `?session=${encodeURIComponent(key)}`;
    history.pushState(null, "", query);
  }
  const reopened = current?.key === key;
  if (!reopened) dock.dropQuestion();
  current = conversation(key);
  if (!reopened) composer.open(key);
  stream.show(current);
  if (gateway.state.name === "online") current.load();
  drawAround();
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

function startFresh() {
  const agentId = current?.key.split(":")[1] || defaults.defaultAgentId;
  const unused = [...conversations.values()].find((one) => one.key.startsWith(`agent:${agentId}:chat-`)
    && one.empty && !rowOf(one.key) && !drafts.get(one.key));
  openSession(unused?.key ?? `agent:${agentId}:chat-${randomHex(4)}`, true);
  composer.focus();
}

const rowOf = (key) => sessions.find((session) => session.key === key);
const nameOf = (key) => titleOf(rowOf(key) ?? { key }, defaults.mainSessionKey);

function changed(which) {
  stream.changed(which);
  if (which === current) drawAround();
}

/** Everything around the stream that follows from which conversation is open and how it is going. */
function drawAround() {
  if (!current) return;
  const name = nameOf(current.key);
  byId("title").textContent = name;
  document.title = `${name} · openclawd`;
  composer.update({ online: gateway.state.name === "online", busy: current.busy });
  const row = rowOf(current.key);
  const { model, modelProvider } = row?.model ? row : sessionDefaults;
  byId("model").hidden = !model;
  byId("model").textContent = modelProvider === BUILT_IN ? "no model connected"
    : [model, row?.thinkingLevel].filter(Boolean).join(" · ");
  byId("connect-model").hidden = modelProvider !== BUILT_IN;
  // What the gateway does not list yet: the open chat, and those that wait with a draft or an unsent message.
  const own = [...new Set([current.key, ...drafts.keys, ...unsent.keys])].filter((key) => key && !rowOf(key));
  const listed = [...own.map((key) => ({ key, draft: true })), ...sessions];
  const main = listed.some(({ key }) => key === defaults.mainSessionKey) ? [] : [{ key: defaults.mainSessionKey }];
  const isMain = (session) => session.key === defaults.mainSessionKey;
  sidebar.show([...main, ...listed.filter(isMain), ...listed.filter((session) => !isMain(session))], current.key,
    defaults.mainSessionKey);
}

let sessionsTimer = 0;

function refreshSessions(afterMs = SESSIONS_SETTLE_MS) {
  clearTimeout(sessionsTimer);
  sessionsTimer = setTimeout(async () => {
    try {
      const list = await gateway.request("sessions.list", {
        includeGlobal: true, includeUnknown: false, includeDerivedTitles: true, limit: SESSIONS_LIMIT,
      });
      sessions = list.sessions ?? [];
      sessionDefaults = list.defaults ?? {};
      drawAround();
    } catch (error) {
      if (!(error instanceof Disconnected)) console.warn("sessions.list:", error.message);
    }
  }, afterMs);
}

// Devices that wait at the door.

async function refreshDevices() {
  if (!gateway.offers("device.pair.list")) return;
  try {
    dock.devices((await gateway.request("device.pair.list")).pending ?? []);
  } catch (error) {
    if (!(error instanceof Disconnected)) dock.devices([]); // without the right to decide there is nothing to show
  }
}

/** Approve or reject; a sentence when it did not work. */
async function decide(what, requestId, done) {
  try {
    await gateway.request(`device.pair.${what}`, { requestId });
    current?.note(done);
    return "";
  } catch (error) {
    refreshDevices();
    return error instanceof Disconnected ? "The gateway did not answer; try again." : `That did not work: ${error.message}.`;
  }
}

// What the gateway says.

gateway.on("state", (state) => {
  pill.show(state);
  dock.connection(state);
  stream.online = state.name === "online";
  const { view } = document.body.dataset;
  if (door.needed(state)) setView("door");
  else if (state.name !== "connecting" || (view === "start" && pickCredential())) setView("chat");
  door.show(state);
  drawAround();
});

function setView(view) {
  if (document.body.dataset.view === view) return;
  document.body.dataset.view = view;
  byId("door").hidden = view !== "door";
  if (view === "chat" && matchMedia("(hover: hover)").matches) composer.focus();
}

gateway.on("hello", async (hello, { firstTime, gapMs, restarted }) => {
  Object.assign(defaults, hello.snapshot?.sessionDefaults);
  firstVersion ??= hello.server.version;
  sidebar.greet(hello, hello.server.version !== firstVersion);
  if (!current || firstTime) openSession(keyInAddress(), false);
  for (const key of unsent.keys) conversation(key); // what waits there is sent as well
  refreshSessions(0);
  refreshDevices();
  const [cutShort] = await Promise.all([...conversations.values()].sort((one) => (one === current ? -1 : 1))
    .map((one) => one.resume()));
  if (firstTime || gateway.hello !== hello) return;
  const end = cutShort ? "the answer under way was cut short" : "nothing lost";
  if (restarted) current.note(`gateway restarted, ${duration(gapMs)}, ${end}`);
  else if (gapMs > GAP_WORTH_A_LINE_MS || cutShort) current.note(`connection away for ${duration(gapMs)}, ${end}`);
});

gateway.on("event", (name, payload) => {
  if (name === "chat") {
    const text = conversations.get(payload.sessionKey)?.heardChat(payload);
    if (text && payload.sessionKey === current?.key) announce(text.slice(0, SPOKEN_CHARACTERS));
    if (payload.state !== "delta") refreshSessions();
  } else if (name === "agent") {
    conversations.get(payload.sessionKey)?.heardAgent(payload);
    // A chat gets its name from its first message.
    if (payload.data?.phase === "start" && payload.stream === "lifecycle" && !rowOf(payload.sessionKey)) refreshSessions();
  } else if (name === "device.pair.requested" || name === "device.pair.resolved") {
    refreshDevices();
  }
});

// What happens around the page.

window.addEventListener("popstate", () => current && openSession(keyInAddress(), false));
window.addEventListener("hashchange", () => takeFromAddress() && gateway.retry());
window.addEventListener("storage", ({ key, newValue }) => {
  // Another tab was let in: this one has the same right.
  if (key === deviceTokenStorageKey && newValue && gateway.state.name !== "online") gateway.retry();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || event.isComposing) return;
  if (sidebar.isOpen) sidebar.close();
  else if (current?.busy && document.body.dataset.view === "chat") current.stop();
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  composer.focus();
});
byId("reload").addEventListener("click", () => location.reload());
for (const button of document.querySelectorAll("#empty [data-send]")) {
  button.addEventListener("click", () => gateway.state.name === "online" && current.send(button.dataset.send));
}

if (/Mac|iP/.test(navigator.platform)) byId("shortcut").textContent = "⌘ K";
if (pickCredential()) setView("chat");
gateway.start();
