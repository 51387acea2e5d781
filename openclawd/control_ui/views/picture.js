// A picture of a message, small: its bytes are asked for when it comes near the window.

import { dataUrl, toBase64 } from "../attachments.js";
import { byId, h } from "../dom.js";
import { fileBytes } from "../files.js";
import { askForPicture, knownPicture } from "../pictures.js";

// A screenful ahead, so that it is there when one arrives.
const AHEAD = "600px";

let gateway = null;
const loads = new WeakMap(); // element -> what loads its picture

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    loads.get(target)?.();
  }
}, { root: byId("stream"), rootMargin: AHEAD });

/** Where pictures of transcripts come from. */
export function picturesFrom(source) {
  gateway = source;
}

/** The data URL of a file of a message: one that was sent from here, one that waits, or one of the transcript. */
export async function pictureOf(file, sessionKey) {
  const known = knownPicture(file.key) ?? knownPicture(file.attachmentId);
  if (known) return known;
  if (file.attachmentId) return askForPicture(gateway, sessionKey, file.attachmentId);
  const bytes = await fileBytes(file.id);
  if (!bytes) throw new Error("this browser has not kept it");
  return dataUrl(file.mimeType, toBase64(bytes));
}

/**
 * A button with the picture. `button.file` is what it shows and may be exchanged: {kind, mimeType, fileName, bytes, key}
 * with `attachmentId` (of the transcript) or `id` (of files.js).
 */
export function pictureButton(file, sessionKey, onclick) {
  const image = h("img", { alt: "", hidden: true });
  const word = h("span", { class: "muted" }, file.fileName);
  const button = h("button", { type: "button", class: "picture", "aria-label": `Open ${file.fileName}`, onclick }, image, word);
  button.file = file;
  loads.set(button, async () => {
    try {
      image.src = await pictureOf(button.file, sessionKey);
      await image.decode();
      image.hidden = false;
      word.hidden = true;
    } catch {
      word.textContent = `${file.fileName} cannot be shown now`;
    }
  });
  watcher.observe(button);
  return button;
}
