// What is wrong with the gateway, above the conversation: calm lines that can be put away one by one.

import { arrange, byId, commandLine, h } from "../dom.js";

export class WarningLines {
  #list = byId("warnings");
  #lines = new Map(); // text -> element

  /** actions: {putAway(text), putAwayAll(): nothing is left to be put away} */
  constructor(actions) {
    this.actions = actions;
  }

  /** warnings: [{text, command}] */
  show(warnings) {
    const lines = new Map(warnings.map((warning) => [warning.text, this.#lines.get(warning.text) ?? this.#line(warning)]));
    this.#lines = lines;
    arrange(this.#list, [...lines.values()]);
  }

  #line({ text, command }) {
    return h("div", { class: "warning" },
      h("span", { class: "dot", "aria-hidden": "true" }),
      h("div", { class: "warning-words" }, h("p", {}, text),
        h("details", {}, h("summary", {}, "What to do"),
          h("p", { class: "muted" }, "On the gateway's computer this tells more:"), commandLine(command))),
      h("button", {
        type: "button", class: "icon", title: "Dismiss", "aria-label": `Dismiss: ${text}`, onclick: () => this.#putAway(text),
      }, "×"));
  }

  #putAway(text) {
    const hadFocus = this.#list.contains(document.activeElement);
    this.actions.putAway(text);
    if (!hadFocus) return;
    const next = this.#list.querySelector(".warning > button");
    if (next) next.focus();
    else this.actions.putAwayAll();
  }
}
