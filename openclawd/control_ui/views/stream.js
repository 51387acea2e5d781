// The conversation as it reads. Items come keyed (transcript.js); an item that is still the same keeps its element, and
// everything that changed within one frame is drawn once. Who reads at the end is kept there; who reads further up is
// left where he is, whatever comes in above or below.

import { arrange, byId, h } from "../dom.js";
import { day, sameDay } from "../format.js";
import { withDays } from "../transcript.js";
import { Answers } from "./answer.js";
import { Questions } from "./question.js";

// Within this distance from the end, which rounding and zoom need, one is reading along.
const AT_END_PX = 8;
// So near to the beginning of what is here, what comes before is read.
const EARLIER_PX = 400;

const EARLIER_WORDS = { "": "Earlier messages", loading: "Reading earlier messages…", failed: "Earlier messages could not be read; try again" };

export class Stream {
  #elements = new Map();
  #conversation = null;
  #frame = 0;
  #following = true;
  #seen = { top: 0, height: 0 };
  #place = null; // {element, top}: what stands at the upper edge, for who reads there

  #scroller = byId("stream");
  #column = byId("items");
  #empty = byId("empty");
  #jump = byId("jump");
  #earlier = byId("earlier");
  #answers;
  #questions;

  /** actions: {resend(runId), edit(runId), discard(runId), show(file, sessionKey)} */
  constructor(actions) {
    this.#answers = new Answers(actions);
    this.#questions = new Questions(actions);
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#jump.addEventListener("click", () => this.toEnd());
    this.#earlier.addEventListener("click", () => this.#conversation.loadEarlier());
    const resized = new ResizeObserver(() => this.#stay());
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

  set online(online) {
    if (this.#answers.online === online) return;
    this.#answers.online = online;
    if (this.#conversation) this.changed(this.#conversation);
  }

  /** How much an answer tells of what it used: "off", "tokens", "full" or "on". */
  set usage(usage) {
    if (this.#answers.usage === usage) return;
    this.#answers.usage = usage;
    this.changed(this.#conversation);
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
    if (scrollTop < top && scrollTop < EARLIER_PX && !this.#conversation?.earlier) this.#conversation?.loadEarlier();
  }

  #look() {
    this.#seen = { top: this.#scroller.scrollTop, height: this.#scroller.scrollHeight };
    const edge = this.#scroller.getBoundingClientRect().top;
    const { children } = this.#column;
    // The items stand in order: halving finds the first that reaches below the edge.
    let [from, to] = [0, children.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (children[middle].getBoundingClientRect().bottom > edge) to = middle;
      else from = middle + 1;
    }
    // A day's line is another one when something comes in above it.
    const element = children[from]?.classList.contains("day") ? children[from + 1] : children[from];
    this.#place = element ? { element, top: element.getBoundingClientRect().top - edge } : null;
  }

  /** Something has another height: stay at the end, or with what one is reading. */
  #stay() {
    if (this.#following) {
      this.#scrollToEnd();
      return;
    }
    const place = this.#place;
    if (place?.element.isConnected) {
      const edge = this.#scroller.getBoundingClientRect().top;
      this.#scroller.scrollTop += place.element.getBoundingClientRect().top - edge - place.top;
    }
    this.#look();
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
    const elements = new Map(items.map((item) =>
      [item.key, this.#drawItem(item, this.#elements.get(item.key), item === items.at(-1))]));
    this.#elements = elements;
    arrange(this.#column, [...elements.values()]);
    this.#empty.hidden = !(conversation.loaded && conversation.empty);
    this.#scroller.dataset.state = conversation.loadError ? "failed" : conversation.loaded || items.length ? "" : "loading";
    byId("load-error").textContent = conversation.loadError
      ? `This chat could not be read: ${conversation.loadError.replace(/\.$/, "")}.` : "";
    this.#earlier.hidden = !conversation.hasEarlier;
    this.#earlier.textContent = EARLIER_WORDS[conversation.earlier];
    this.#stay();
  }

  #drawItem(item, element, isLast) {
    if (item.kind === "answer") return this.#answers.draw(item, element, isLast);
    if (item.kind === "user") return this.#questions.draw(item, element, this.#conversation.key);
    return element ?? h("div", { class: `quiet ${item.kind}` }, item.kind === "day" ? day(item.at) : item.text);
  }
}
