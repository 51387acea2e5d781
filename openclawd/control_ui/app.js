// The page put together: the gateway's state and events on one side, the views on the other.

import { addressOf, agentOf, keyInAddress, learnNames, mainKey } from "./address.js";
import { chatList } from "./chats.js";
import { deviceTokenStorageKey, giveSecret, pickCredential, takeFromAddress } from "./credentials.js";
import { Commands } from "./commands.js";
import { BEGINS_AFRESH, Conversation } from "./conversation.js";
import { Devices } from "./devices.js";
import { announce, byId } from "./dom.js";
import { dropFiles, sweepFiles } from "./files.js";
import { duration } from "./format.js";
import { Gateway } from "./gateway.js";
import { renewIdentity } from "./identity.js";
import { randomHex } from "./bytes.js";
import { Catalog, choicesBehind } from "./models.js";
import { Outbox } from "./outbox.js";
import { Sessions, titleOf } from "./sessions.js";
import { drafts } from "./storage.js";
import { BUILT_IN } from "./transcript.js";
import { Updates } from "./updates.js";
import { Composer } from "./views/composer.js";
import { DevicesDialog } from "./views/devices.js";
import { Dock } from "./views/dock.js";
import { Door } from "./views/door.js";
import { Picker } from "./views/picker.js";
import { picturesFrom } from "./views/picture.js";
import { Pill } from "./views/pill.js";
import { Sidebar } from "./views/sidebar.js";
import { Stream } from "./views/stream.js";
import { UpdateCard } from "./views/update.js";
import { Viewer } from "./views/viewer.js";
import { WarningLines } from "./views/warnings.js";
import { Warnings } from "./warnings.js";

// A plain loss shorter than this is nobody's business.
const GAP_WORTH_A_LINE_MS = 5_000;
// The lowest keyboard is higher; a browser's own bars are lower.
const KEYBOARD_PX = 120;
// What a screen reader hears of an answer; the rest is there to be read.
const SPOKEN_CHARACTERS = 400;

takeFromAddress();

const gateway = new Gateway();
const outbox = new Outbox();
const conversations = new Map();
const sessions = new Sessions(gateway, () => drawAround());
const devices = new Devices(gateway, () => {
  dock.devices(devices.waiting);
  devicesDialog.draw();
});
const updates = new Updates(gateway, () => dock.update(updateCard.show(updates.card, updates.word)));
const catalog = new Catalog(gateway);
const warnings = new Warnings(() => warningLines.show(warnings.open));
const deleting = new Set();
let current = null;
let listFrame = 0; // a streaming answer draws the list once a frame, not once a word
let firstVersion = null;

picturesFrom(gateway);
const pill = new Pill();
const viewer = new Viewer(gateway);
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
const decided = (what, done) => async (requestId, name) => {
  const problem = await devices.decide(what, requestId);
  if (!problem) current?.note(`${name} ${done}`);
  return problem;
};
const dock = new Dock({
  approve: decided("approve", "was let in"),
  reject: decided("reject", "was turned away"),
  showDevices: () => devicesDialog.open(),
  retry: () => gateway.retry(),
});
const updateCard = new UpdateCard({
  run: () => updates.run(),
  putAway: () => updates.putAway(),
  open() {
    sidebar.close();
    updates.open();
  },
  putAwayFocused: () => composer.focus(),
});
const composer = new Composer({
  send(text, files) {
    if (BEGINS_AFRESH.test(text) && !(current.loaded && current.empty)) askBeforeAfresh(current, text, files);
    else send(text, files);
  },
  stop: () => current.stop(),
  draftedElsewhere: () => drawAround(),
  limits: () => gateway.hello?.policy?.attachments,
}, new Commands(gateway, choicesOf));
const stream = new Stream({
  resend: (runId) => current.resend(runId),
  edit(runId) {
    const message = current.sending.takeBack(runId);
    if (message) composer.add(message);
  },
  discard(runId) {
    const message = current.sending.takeBack(runId);
    if (message) dropFiles(message.files.map((file) => file.id));
  },
  show: (file, sessionKey) => viewer.show(file, sessionKey),
});
const sidebar = new Sidebar({
  open: (key) => openSession(key, true),
  fresh: startFresh,
  rename: (key, name) => sessions.rename(key, name),
  delete: deleteSession,
  search: (text) => sessions.search(text),
  more: () => sessions.more(),
});
const devicesDialog = new DevicesDialog(devices, () => sidebar.close());
const warningLines = new WarningLines({ putAway: (text) => warnings.putAway(text), putAwayAll: () => composer.focus() });
const picker = new Picker(catalog, { choose: (changes) => sessions.choose(current.key, changes) });

function choicesOf(command) {
  return choicesBehind(command, catalog, sessions.get(current.key), sessions.defaults);
}

function send(text, files) {
  current.sending.send(text, files);
  stream.toEnd();
}

function askBeforeAfresh(asked, text, files) {
  dock.ask("Put this conversation away?", "Put away", "Keep it", (putAway) => {
    if (putAway) send(text, files);
    else if (current === asked && (/\s/.test(text) || files.length)) composer.add({ text, files }); // more than the command
    composer.focus();
  });
}

// Which conversation.

function conversation(key) {
  let found = conversations.get(key);
  if (!found) {
    found = new Conversation(key, { gateway, outbox, changed });
    conversations.set(key, found);
  }
  return found;
}

function openSession(key, push) {
  if (push && key !== current?.key) history.pushState(null, "", addressOf(key));
  const reopened = current?.key === key;
  if (!reopened) {
    dock.dropQuestion();
    if (current) follow(current.key, false);
  }
  current = conversation(key);
  if (!reopened) {
    composer.open(key);
    follow(key, true);
  }
  stream.show(current);
  if (gateway.state.name === "online") current.load();
  drawAround();
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

/** Hear of messages that other pages write into the conversation on the screen. */
async function follow(key, on) {
  const method = `sessions.messages.${on ? "subscribe" : "unsubscribe"}`;
  if (gateway.state.name === "online" && gateway.offers(method)) await gateway.request(method, { key }).catch(() => {});
}

function startFresh() {
  const agentId = agentOf(current?.key);
  const unused = [...conversations.values()].find((one) => one.key.startsWith(`agent:${agentId}:chat-`)
    && one.empty && !sessions.get(one.key) && !drafts.get(one.key));
  openSession(unused?.key ?? `agent:${agentId}:chat-${randomHex(4)}`, true);
  composer.focus();
}

/** "" or a sentence that says why not. */
async function deleteSession(key) {
  deleting.add(key);
  const why = sessions.get(key) ? await sessions.delete(key) : "";
  deleting.delete(key);
  if (!why) leave(key);
  return why;
}

/** Nothing of a deleted chat stays; who looks at it is taken to the main one. */
function leave(key) {
  dropFiles((drafts.get(key)?.files ?? []).map((file) => file.id));
  drafts.put(key, null);
  conversation(key).forget(); // also where this page has not opened it: something may wait to be sent there
  conversations.delete(key);
  if (current.key === key) {
    history.replaceState(null, "", addressOf(mainKey()));
    openSession(mainKey(), false);
  }
  drawAround();
}

function changed(which) {
  stream.changed(which);
  if (which === current) drawAround();
}

/** Everything around the stream that follows from which conversation is open and how it is going. */
function drawAround() {
  if (!current) return;
  const row = sessions.get(current.key);
  const online = gateway.state.name === "online";
  const name = titleOf(row ?? { key: current.key }, mainKey());
  byId("title").textContent = name;
  document.title = `${name} · openclawd`;
  composer.update({ online: gateway.isHere, busy: current.busy });
  picker.show(current.key, row, sessions.defaults);
  stream.usage = row?.responseUsage ?? "full";
  if (online && document.visibilityState === "visible") sessions.isRead(current.key);
  byId("connect-model").hidden = (row?.model ? row : sessions.defaults).modelProvider !== BUILT_IN;
  listFrame ||= requestAnimationFrame(drawList);
}

function drawList() {
  listFrame = 0;
  if (gateway.state.name === "online") sessions.learn([mainKey(), current.key, ...drafts.keys, ...outbox.keys]);
  const list = chatList({
    sessions, outbox, online: gateway.isHere, current: current.key,
    isBusy: (key) => conversations.get(key)?.busy ?? false,
  });
  sidebar.show(list, current.key, sessions.hasMore);
}

// What the gateway says.

gateway.on("state", (state) => {
  pill.show(state);
  dock.connection(state);
  stream.online = gateway.isHere;
  const { view } = document.body.dataset;
  if (door.needed(state)) {
    devicesDialog.close();
    setView("door");
  } else if (state.name !== "connecting" || (view === "start" && pickCredential())) setView("chat");
  door.show(state);
  if (current) changed(current);
});

function setView(view) {
  if (document.body.dataset.view === view) return;
  document.body.dataset.view = view;
  byId("door").hidden = view !== "door";
  if (view === "chat" && matchMedia("(hover: hover)").matches) composer.focus();
}

gateway.on("hello", async (hello, { firstTime, gapMs, restarted, recovered }) => {
  learnNames(hello.snapshot?.sessionDefaults);
  firstVersion ??= hello.server.version;
  sidebar.greet(hello, hello.server.version !== firstVersion);
  if (!current || firstTime) openSession(keyInAddress(), false);
  else follow(current.key, true);
  for (const key of outbox.keys) conversation(key); // what waits there is sent as well
  const before = new Map([...conversations.keys()].map((key) => [key, sessions.get(key)]));
  sessions.start({ recovered }).then(() => {
    if (recovered) for (const one of conversations.values()) one.compare(before.get(one.key), sessions.get(one.key));
  });
  devices.heardPresence(hello.snapshot?.presence);
  devices.refresh();
  updates.refresh();
  const [cutShort] = await Promise.all([...conversations.values()].sort((one) => (one === current ? -1 : 1))
    .map((one) => one.resume({ recovered })));
  if (firstTime || gateway.hello !== hello) return;
  // Nobody has noticed, so there is nothing to explain.
  if (recovered && gapMs < GAP_WORTH_A_LINE_MS) return;
  const end = cutShort ? "the answer under way was cut short" : "nothing lost";
  if (restarted) current.note(`gateway restarted, ${duration(gapMs)}, ${end}`);
  else if (gapMs > GAP_WORTH_A_LINE_MS || cutShort) current.note(`connection away for ${duration(gapMs)}, ${end}`);
});

const HEARD = {
  chat(payload) {
    const { sessionKey, runId, state } = payload;
    const text = conversations.get(sessionKey)?.heardChat(payload);
    if (text && sessionKey === current?.key) announce(text.slice(0, SPOKEN_CHARACTERS));
    sessions.heardRun(sessionKey, runId, ["final", "aborted", "error"].includes(state));
  },
  agent(payload) {
    conversations.get(payload.sessionKey)?.heardAgent(payload);
    if (payload.stream !== "lifecycle") return;
    // The end is told by the chat event that follows.
    if (payload.data?.phase === "start") sessions.heardRun(payload.sessionKey, payload.runId, false);
  },
  "session.message"(payload) {
    conversations.get(payload.sessionKey)?.heardMessage(payload);
  },
  "sessions.changed"(payload) {
    const { sessionKey, reason } = payload;
    sessions.heardChange(payload);
    if (!conversations.has(sessionKey)) return;
    if (reason === "delete" && !deleting.has(sessionKey)) {
      const wasOpen = current.key === sessionKey;
      const written = wasOpen ? composer.take() : null;
      leave(sessionKey);
      if (!wasOpen) return;
      current.note("the chat that was open here has been deleted");
      if (written.text || written.files.length) composer.add(written);
    } else if (["new", "reset", "compact", "inject"].includes(reason)) {
      conversation(sessionKey).load();
    }
  },
  health: (payload) => warnings.heard(payload),
  "openclawd.update": (payload) => updates.heardStep(payload),
  "update.available": () => updates.heardAvailable(),
  presence: ({ presence }) => devices.heardPresence(presence),
  "device.pair.requested": () => devices.refresh(),
  "device.pair.resolved": () => devices.refresh(),
  "device.pair.changed": () => devices.refresh(),
};

gateway.on("event", (name, payload) => HEARD[name]?.(payload));

// What happens around the page.

outbox.onChange((sessionKey) => {
  if (sessionKey) conversation(sessionKey).sending.changedElsewhere();
});
window.addEventListener("popstate", () => current && openSession(keyInAddress(), false));
window.addEventListener("hashchange", () => takeFromAddress() && gateway.retry());
window.addEventListener("storage", ({ key, newValue }) => {
  // Another tab was let in: this one has the same right.
  if (key === deviceTokenStorageKey && newValue && gateway.state.name !== "online") gateway.retry();
});
document.addEventListener("visibilitychange", () => drawAround());
// Where a screen's keyboard covers the page instead of making it smaller, the page leaves that room by itself.
window.visualViewport?.addEventListener("resize", ({ target: { height, scale } }) => {
  const isCovered = scale === 1 && document.documentElement.clientHeight - height > KEYBOARD_PX;
  document.body.style.height = isCovered ? `${height}px` : "";
  if (isCovered) scrollTo(0, 0);
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
  button.addEventListener("click", () => gateway.isHere && send(button.dataset.send, []));
}

if (/Mac|iP/.test(navigator.platform)) byId("shortcut").textContent = "⌘ K";
if (pickCredential()) setView("chat");
gateway.start();
sweepFiles(() => [...outbox.fileIds, ...drafts.keys.flatMap((key) => drafts.get(key)?.files ?? []).map((file) => file.id)]);
