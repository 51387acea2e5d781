// An answer as it reads: text, thinking, tools, what went wrong, and one quiet line about it.

import { arrange, copyButton, h } from "../dom.js";
import { count, dollars, duration, fullMoment, timeOfDay } from "../format.js";
import { renderMarkdown } from "../markdown.js";

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

export class Answers {
  /** An answer under way does not move while there is no connection. */
  online = false;

  /** What a chat's `responseUsage` says. */
  usage = "full";

  /** actions: {resend(runId)} */
  constructor(actions) {
    this.actions = actions;
  }

  /** isLast: nothing was said after it. */
  draw(item, element, isLast) {
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
    const { tookMs, tokens, cost, model } = item.meta;
    const last = item.parts.at(-1);
    const doing = last?.kind === "text" ? "Writing" : last?.kind === "tool" && !last.done ? `Using ${last.name}` : "Thinking";
    const state = JSON.stringify([item.live && [doing, this.online], item.at, item.stopped, item.short, item.meta, this.usage]);
    if (row.shown === state) return;
    row.shown = state;
    if (item.live) {
      row.replaceChildren(...(this.online
        ? [h("span", { class: "dot wait" }), h("span", {}, `${doing}…`)]
        : [h("span", { class: "dot off" }), h("span", {}, "Goes on when the gateway is back")]));
      return;
    }
    const text = () => item.parts.filter((part) => part.kind === "text").map((part) => part.text).join("\n\n");
    row.replaceChildren(...[
      item.stopped && h("span", {}, "stopped"),
      item.short && h("span", {}, "cut short at the model's limit"),
      item.at && h("time", { datetime: new Date(item.at).toISOString(), title: fullMoment(item.at) }, timeOfDay(item.at)),
      tookMs >= 100 && h("span", {}, duration(tookMs)),
      tokens && this.usage !== "off" && h("span", {}, `${count(tokens)} tokens`),
      cost && ["full", "on"].includes(this.usage) && h("span", {}, dollars(cost)),
      model && h("span", {}, model),
      text() && copyButton(text, "Copy this answer"),
    ].filter(Boolean));
  }
}
