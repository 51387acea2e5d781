// What a person said: the words, the files, and below them how the sending goes.

import { h } from "../dom.js";
import { fullMoment, size } from "../format.js";
import { pictureButton } from "./picture.js";

function fileButton(file, show) {
  const button = h("button", { type: "button", class: "chip", "aria-label": `Open ${file.fileName}`, onclick: show },
    h("span", { class: "name" }, file.fileName), h("small", { class: "muted" }, size(file.bytes)));
  button.file = file;
  return button;
}

export class Questions {
  /** actions: {resend(runId), edit(runId), discard(runId), show(file, sessionKey)} */
  constructor(actions) {
    this.actions = actions;
  }

  draw(item, element, sessionKey) {
    const state = JSON.stringify([item.text, item.files, item.cut, item.state, item.error, item.kept]);
    if (element?.shown === state) return element;
    element ??= h("div", { class: "turn" });
    element.shown = state;
    element.dataset.state = item.state ?? "";
    element.replaceChildren(...[
      h("span", { class: "hidden-visually" }, "You: "),
      item.files?.length > 0 && this.#files(item, element, sessionKey),
      item.text && h("div", { class: "you", dir: "auto", title: item.at ? fullMoment(item.at) : null }, item.text),
      item.cut && h("div", { class: "meta" }, "shortened here"),
      this.#below(item),
    ].filter(Boolean));
    return element;
  }

  // Their elements stay when the message moves from the outbox into the transcript.
  #files(item, element, sessionKey) {
    const files = item.files.map((file, index) => ({
      ...file, key: `${item.runId}:${index}`, fileName: file.fileName ?? (file.kind === "image" ? "Image" : "File"),
    }));
    if (element.files?.children.length === files.length) {
      files.forEach((file, index) => {
        element.files.children[index].firstElementChild.file = file;
      });
      return element.files;
    }
    const show = ({ currentTarget }) => this.actions.show(currentTarget.file, sessionKey);
    element.files = h("ul", { class: "files", "aria-label": "Attached" },
      ...files.map((file) => h("li", {}, file.kind === "image" ? pictureButton(file, sessionKey, show) : fileButton(file, show))));
    return element.files;
  }

  #below(item) {
    const button = (word, act) => h("button", { type: "button", class: "link", onclick: () => act(item.runId) }, word);
    const { resend, edit, discard } = this.actions;
    const line = (dot, text, ...buttons) =>
      h("div", { class: "meta" }, h("span", { class: `dot ${dot}` }), h("span", {}, text), ...buttons);
    switch (item.state) {
      case "sending": return h("div", { class: "meta late" }, "Sending…");
      case "queued": return line("wait", "Waits for its turn");
      case "waiting": return line("off",
        item.kept ? "Waits for the gateway" : "Waits for the gateway; this browser has no room to keep it, so leave the page open",
        button("Edit", edit), button("Discard", discard));
      case "unsure": return line("wait", "It may have arrived or not", button("Send again", resend), button("Edit", edit),
        button("Discard", discard));
      case "failed": {
        const row = line("bad", `Not sent: ${item.error.replace(/\.$/, "")}`, button("Try again", resend),
          button("Edit", edit), button("Discard", discard));
        row.classList.add("trouble");
        return row;
      }
      default: return null;
    }
  }
}
