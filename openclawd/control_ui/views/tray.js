// The files that go with the message being written: chosen, pasted or dropped, shown small, and taken out again.

import { MAX_FILES, readFile, Refusal } from "../attachments.js";
import { arrange, byId, h } from "../dom.js";
import { dropFiles, fileBytes, keepFile, newFileId } from "../files.js";
import { size } from "../format.js";
import { thumbnail } from "./thumbnail.js";

export class Tray {
  files = []; // {id, kind, mimeType, fileName, bytes}

  #list = byId("tray");
  #why = byId("tray-why");
  #chips = new Map();

  /**
   * actions: {limits(): policy.attachments, changed(), place(): the conversation that is written to, "" before one is
   * open, keepFor(place, file)}
   */
  constructor(actions) {
    this.actions = actions;
    const input = byId("file-input");
    byId("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = ""; // the same file again is a change, too
    });
    byId("message").addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files];
      // Office programs put a picture of the text beside the text.
      if (!files.length || event.clipboardData.types.includes("text/plain")) return;
      event.preventDefault();
      this.add(files);
    });
    this.#takeDrops();
  }

  #takeDrops() {
    const main = byId("main");
    let depth = 0; // enter and leave are told of every element in between
    const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
    const over = (isOver) => main.toggleAttribute("data-drop", isOver);
    main.addEventListener("dragenter", (event) => {
      if (hasFiles(event)) over(++depth > 0);
    });
    main.addEventListener("dragleave", (event) => {
      if (hasFiles(event)) over(--depth > 0);
    });
    main.addEventListener("drop", (event) => {
      depth = 0;
      over(false);
      if (hasFiles(event)) this.add([...event.dataTransfer.files]);
    });
    // A file that misses must not take the page's place.
    for (const name of ["dragover", "drop"]) {
      window.addEventListener(name, (event) => hasFiles(event) && event.preventDefault());
    }
  }

  /** Read files and show them; what cannot be taken is said. */
  async add(files) {
    const refusals = [];
    const place = this.actions.place();
    const isElsewhere = () => place && place !== this.actions.place();
    for (const file of files) {
      if (this.files.length >= MAX_FILES) {
        refusals.push(`At most ${MAX_FILES} files go with one message.`);
        break;
      }
      try {
        const read = await readFile(file, this.actions.limits());
        const one = { ...read, id: newFileId(), bytes: read.bytes.length };
        // The draft names it before it is kept: see files.js.
        if (isElsewhere()) {
          this.actions.keepFor(place, one);
        } else {
          this.files = [...this.files, one];
          this.actions.changed();
        }
        keepFile(one.id, read.bytes);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        refusals.push(error.message);
      }
    }
    if (isElsewhere()) return;
    this.#tell(refusals.join(" "));
    this.#draw();
  }

  /** Show the files of a draft; those whose bytes this browser has lost are left out. */
  async show(files) {
    this.files = files;
    this.#tell("");
    this.#draw();
    const lost = [];
    for (const file of files) if (!(await fileBytes(file.id))) lost.push(file);
    if (!lost.length || this.files !== files) return;
    this.files = files.filter((file) => !lost.includes(file));
    this.#tell(`This browser has not kept ${lost.map((file) => file.fileName).join(", ")}; attach it again.`);
    this.#draw();
    this.actions.changed();
  }

  /** Hand the files over; the tray is empty then. */
  take() {
    const { files } = this;
    this.files = [];
    this.#tell("");
    this.#draw();
    return files;
  }

  #remove(file) {
    const at = this.files.indexOf(file);
    this.files = this.files.filter((one) => one !== file);
    this.#tell("");
    this.#draw();
    this.actions.changed();
    dropFiles([file.id]);
    (this.#list.children[Math.min(at, this.files.length - 1)]?.querySelector("button") ?? byId("message")).focus();
  }

  #tell(words) {
    this.#why.hidden = !words;
    this.#why.textContent = words;
  }

  #draw() {
    const chips = new Map(this.files.map((file) => [file.id, this.#chips.get(file.id) ?? this.#chip(file)]));
    this.#chips = chips;
    arrange(this.#list, [...chips.values()]);
    this.#list.hidden = !this.files.length;
  }

  #chip(file) {
    const remove = h("button", {
      type: "button", class: "remove", "aria-label": `Remove ${file.fileName}`, onclick: () => this.#remove(file),
    }, h("span", { "aria-hidden": "true" }, "×"));
    if (file.kind === "image") {
      const image = h("img", { alt: file.fileName });
      thumbnail(file).then((url) => {
        if (url) image.src = url;
      });
      return h("li", { class: "thumb", title: `${file.fileName}, ${size(file.bytes)}` }, image, remove);
    }
    return h("li", { class: "chip" }, h("span", { class: "name" }, file.fileName), h("small", { class: "muted" }, size(file.bytes)), remove);
  }
}
