// The conversation as it reads. Items come keyed (transcript.js); an item that is still the same keeps its element, and
// everything that changed within one frame is drawn once.

import { arrange, byId, copyButton, h } from "../dom.js";
import { count, day, duration, fullMoment, sameDay, timeOfDay } from "../format.js";
import { renderMarkdown } from "../markdown.js";
import { withDays } from "../transcript.js";

// Within this distance from the end, which rounding and zoom need, one is reading along.
const AT_END_PX = 8;

/** The one argument that says what a tool did; all of them as JSON otherwise. */
function argumentLine(args) {
  if (args === undefined || args === null) return "";
  if (typeof args !== "object") return String(args);
  const telling = args.command ?? args.cmd ?? args.path ?? args.file ?? args.url ?? args.query ?? args.pattern;
  return typeof telling === "string" ? telling : Object.keys(args).length ? JSON.stringify(args) : "";
}

const pretty = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

const DRAW = {
  text(part, element, live) {
    element ??= h("div", { class: "prose" });
    if (element.shown !== part.text || element.live !== live) {
      // Once complete it is read again as a whole: a link's address may have come last.
      renderMarkdown(element, part.text, { whole: element.live && !live });
      element.shown = part.text;
      element.live = live;
    }
    return element;
  },

  cut(part, element) {
    return element ?? h("div", { class: "quiet" }, "shortened here");
  },

  thinking(part, element) {
    if (element?.shown === part.text) return element;
    element ??= h("details", { class: "thinking" }, h("summary", {}, "Thinking"), h("div", { class: "prose" }));
    renderMarkdown(element.lastElementChild, part.text);
    element.shown = part.text;
    return element;
  },

  tool(part, element) {
    const line = argumentLine(part.args);
    const done = part.done || part.result !== undefined;
    const state = JSON.stringify([line, done, part.isError, part.tookMs, part.result]);
    if (element?.shown === state) return element;
    element ??= h("details", { class: "tool" });
    element.shown = state;
    const dot = part.isError ? "bad" : done ? "" : "wait";
    const word = part.isError ? "failed" : done ? (part.tookMs ? duration(part.tookMs) : "") : "running";
    element.replaceChildren(
      h("summary", {},
        h("span", { class: `dot ${dot}` }), h("span", {}, part.name ?? "tool"), line && h("code", { class: "line" }, line),
        h("span", { class: "grow" }), h("small", { class: "muted" }, word)),
      h("div", { class: "tool-body" },
        part.args !== undefined && h("pre", { tabindex: "0" }, pretty(part.args)),
        part.result ? h("pre", { tabindex: "0" }, part.result) : h("p", { class: "muted" }, done ? "No output." : "Running.")),
    );
    return element;
  },
};

export class Stream {
  #elements = new Map();
  #conversation = null;
  #frame = 0;
  #following = true;
  #online = false;
  #seen = { top: 0, height: 0 };

  #scroller = byId("stream");
  #column = byId("items");
  #empty = byId("empty");
  #jump = byId("jump");

  /** actions: {resend(runId), edit(runId)} */
  constructor(actions) {
    this.actions = actions;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => this.toEnd());
    const resized = new ResizeObserver(() => {
      if (this.#following) this.#scrollToEnd();
      else this.#look();
    });
    resized.observe(this.#column);
    resized.observe(this.#scroller);
  }

  show(conversation) {
    if (this.#conversation !== conversation) {
      this.#conversation = conversation;
      this.#elements.clear();
      this.#column.replaceChildren();
      this.#follow(true);
    }
    this.changed(conversation);
  }

  /** An answer under way does not move while there is no connection. */
  set online(online) {
    if (this.#online === online) return;
    this.#online = online;
    if (this.#conversation) this.changed(this.#conversation);
  }

  changed(conversation) {
    if (conversation !== this.#conversation) return;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  toEnd() {
    this.#follow(true);
    this.#scrollToEnd();
  }

  // Up without a shorter text is a person who wants to read there, however near the end that is.
  #scrolled() {
    const { top, height } = this.#seen;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#look();
    if (scrollTop < top && scrollHeight >= height) this.#follow(false);
    else if (scrollHeight - scrollTop - clientHeight <= AT_END_PX) this.#follow(true);
  }

  #look() {
    this.#seen = { top: this.#scroller.scrollTop, height: this.#scroller.scrollHeight };
  }

  #follow(following) {
    this.#following = following;
    this.#jump.hidden = following;
  }

  #scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#look();
  }

  #draw() {
    const conversation = this.#conversation;
    const items = withDays(conversation.items(), sameDay, Date.now());
    const elements = items.map((item) => {
      const element = this[`draw_${item.kind}`](item, this.#elements.get(item.key), item === items.at(-1));
      this.#elements.set(item.key, element);
      return element;
    });
    arrange(this.#column, elements);
    this.#empty.hidden = !(conversation.loaded && conversation.empty);
    this.#scroller.dataset.state = conversation.loadError ? "failed" : conversation.loaded || items.length ? "" : "loading";
    byId("load-error").textContent = conversation.loadError
      ? `This chat could not be read: ${conversation.loadError.replace(/\.$/, "")}.` : "";
    if (this.#following) this.#scrollToEnd();
  }

  draw_day(item, element) {
    return element ?? h("div", { class: "quiet day" }, day(item.at));
  }

  draw_note(item, element) {
    return element ?? h("div", { class: "quiet note" }, item.text);
  }

  draw_user(item, element) {
    const state = JSON.stringify([item.text, item.cut, item.state, item.error]);
    if (element?.shown === state) return element;
    element ??= h("div", { class: "turn" });
    element.shown = state;
    element.dataset.state = item.state ?? "";
    const below = {
      sending: () => h("div", { class: "meta late" }, "Sending…"),
      queued: () => h("div", { class: "meta" }, h("span", { class: "dot wait" }), h("span", {}, "Waits for its turn")),
      failed: () => h("div", { class: "meta trouble" },
        h("span", { class: "dot bad" }), h("span", {}, `Not sent: ${item.error}`),
        h("button", { type: "button", class: "link", onclick: () => this.actions.resend(item.runId) }, "Try again"),
        h("button", { type: "button", class: "link", onclick: () => this.actions.edit(item.runId) }, "Edit")),
    }[item.state];
    element.replaceChildren(
      h("span", { class: "hidden-visually" }, "You: "),
      h("div", { class: "you", title: item.at ? fullMoment(item.at) : null }, item.text),
      ...(item.cut ? [h("div", { class: "meta" }, "shortened here")] : []),
      ...(below ? [below()] : []),
    );
    return element;
  }

  draw_answer(item, element, isLast) {
    element ??= h("article", { class: "said", "aria-label": "Answer" },
      h("div", { class: "parts" }), h("div", { class: "trouble-box" }), h("div", { class: "meta" }));
    const [parts, trouble, meta] = element.children;
    arrange(parts, item.parts.map((part, index) => {
      const old = parts.children[index];
      const isGrowing = Boolean(item.live) && index === item.parts.length - 1;
      const drawn = DRAW[part.kind](part, old?.partKind === part.kind ? old : undefined, isGrowing);
      drawn.partKind = part.kind;
      if (old && old !== drawn) old.replaceWith(drawn);
      return drawn;
    }));
    element.toggleAttribute("data-live", Boolean(item.live));
    this.#drawTrouble(trouble, item, isLast);
    this.#drawMeta(meta, item);
    return element;
  }

  #drawTrouble(box, item, isLast) {
    const state = JSON.stringify([item.error, isLast]);
    if (box.shown === state) return;
    box.shown = state;
    box.replaceChildren(...(item.error ? [h("div", { class: "ask calm" },
      h("p", { class: "dotted" }, h("span", { class: "dot bad" }), h("span", {}, item.error)),
      isLast && h("div", { class: "row" },
        h("button", { type: "button", class: "btn", onclick: () => this.actions.resend(item.runId ?? item.key) }, "Try again")))]
      : []));
  }

  #drawMeta(row, item) {
    const { tookMs, tokens, model } = item.meta;
    const last = item.parts.at(-1);
    const doing = last?.kind === "text" ? "Writing" : last?.kind === "tool" && !last.done ? `Using ${last.name}` : "Thinking";
    const state = JSON.stringify([item.live && [doing, this.#online], item.at, item.stopped, item.meta]);
    if (row.shown === state) return;
    row.shown = state;
    if (item.live) {
      row.replaceChildren(...(this.#online
        ? [h("span", { class: "dot wait" }), h("span", {}, `${doing}…`)]
        : [h("span", { class: "dot off" }), h("span", {}, "Goes on when the gateway is back")]));
      return;
    }
    const text = () => item.parts.filter((part) => part.kind === "text").map((part) => part.text).join("\n\n");
    row.replaceChildren(...[
      item.stopped && h("span", {}, "stopped"),
      item.at && h("time", { datetime: new Date(item.at).toISOString(), title: fullMoment(item.at) }, timeOfDay(item.at)),
      tookMs >= 100 && h("span", {}, duration(tookMs)),
      tokens && h("span", {}, `${count(tokens)} tokens`),
      model && h("span", {}, model),
      text() && copyButton(text, "Copy this answer"),
    ].filter(Boolean));
  }
}
