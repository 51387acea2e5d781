// A file of a message, large: a picture or a text, with a way to save it.

import { dataUrl, fromBase64, toBase64 } from "../attachments.js";
import { byId, h } from "../dom.js";
import { askForFile } from "../pictures.js";
import { fileBytes } from "../files.js";
import { pictureOf } from "./picture.js";

async function waiting(file) {
  const bytes = await fileBytes(file.id);
  if (!bytes) throw new Error("it is on its way to the gateway");
  return toBase64(bytes);
}

export class Viewer {
  #dialog = byId("viewer");
  #body = byId("viewer-body");
  #save = byId("viewer-save");

  constructor(gateway) {
    this.gateway = gateway;
    byId("viewer-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", ({ target }) => target === this.#dialog && this.#dialog.close());
    this.#dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
    this.#dialog.addEventListener("close", () => this.#body.replaceChildren());
  }

  async show(file, sessionKey) {
    byId("viewer-name").textContent = file.fileName;
    this.#save.hidden = true;
    this.#body.replaceChildren(h("p", { class: "muted late" }, "Loading…"));
    this.#dialog.showModal();
    try {
      const { url, content } = await (file.kind === "image" ? this.#picture(file, sessionKey) : this.#text(file, sessionKey));
      this.#save.href = url;
      this.#save.download = file.fileName;
      this.#save.hidden = false;
      this.#body.replaceChildren(content);
    } catch (error) {
      this.#body.replaceChildren(h("p", {}, `It cannot be shown now: ${error.message.replace(/\.$/, "")}.`));
    }
  }

  async #picture(file, sessionKey) {
    const url = await pictureOf(file, sessionKey);
    return { url, content: h("img", { src: url, alt: file.fileName }) };
  }

  async #text(file, sessionKey) {
    const content = file.attachmentId
      ? (await askForFile(this.gateway, sessionKey, file.attachmentId)).content : await waiting(file);
    return { url: dataUrl("application/octet-stream", content), content: h("pre", { tabindex: "0" }, new TextDecoder().decode(fromBase64(content))) };
  }
}
