// Files that can go with a message: what a file is, its bytes say; what cannot be taken is said in one sentence.

import { size } from "./format.js";

// What the gateway takes where its hello does not say.
const MAX_IMAGE_BYTES = 5_000_000;
// More text fits no model's context.
const MAX_TEXT_BYTES = 1_000_000;
/** So many pictures of one message are read without being made smaller. */
export const MAX_FILES = 20;

/** Why a file is not taken, as a sentence. */
export class Refusal extends Error {}

const STARTS = [
  ["image/png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["image/jpeg", [0xff, 0xd8, 0xff]],
  ["image/gif", [0x47, 0x49, 0x46, 0x38]],
];

function imageType(bytes) {
  const found = STARTS.find(([, start]) => start.every((byte, index) => bytes[index] === byte));
  if (found) return found[0];
  const word = (from) => String.fromCharCode(...bytes.subarray(from, from + 4));
  return word(0) === "RIFF" && word(8) === "WEBP" ? "image/webp" : null;
}

// Control characters that no text has, and the start of a format that looks like text and is none.
const NOT_TEXT = /[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]|^%PDF-/;

function isText(bytes) {
  try {
    return !NOT_TEXT.test(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return false;
  }
}

/**
 * Read a file of the platform: {kind: "image" | "file", mimeType, fileName, bytes: Uint8Array}. Throws Refusal.
 * `limits` is policy.attachments of hello-ok, or nothing.
 */
export async function readFile(file, limits) {
  const maxImage = limits?.maxImageBytes ?? MAX_IMAGE_BYTES;
  const maxBytes = limits?.maxBytes ?? MAX_IMAGE_BYTES;
  const name = file.name || "This file";
  const tooLarge = (limit, what) => new Refusal(`${name} is too large (${size(file.size)}); ${what} may have ${size(limit)}.`);
  if (file.size > Math.max(maxImage, maxBytes)) throw tooLarge(Math.max(maxImage, maxBytes), "a file");
  let bytes;
  try {
    bytes = new Uint8Array(await file.arrayBuffer());
  } catch {
    throw new Refusal(`${name} could not be read; a folder cannot be attached.`);
  }
  if (!bytes.length) throw new Refusal(`${name} is empty.`);
  const image = imageType(bytes);
  if (image) {
    if (bytes.length > maxImage) throw tooLarge(maxImage, "an image");
    return { kind: "image", mimeType: image, fileName: file.name || pastedName(image), bytes };
  }
  if (!isText(bytes)) throw new Refusal(`${name} cannot be read by the model; images (PNG, JPEG, GIF, WebP) and text files can.`);
  const maxText = Math.min(MAX_TEXT_BYTES, maxBytes);
  if (bytes.length > maxText) throw tooLarge(maxText, "a text");
  return { kind: "file", mimeType: file.type || "text/plain", fileName: file.name || "text.txt", bytes };
}

const pastedName = (mimeType) => `image.${mimeType.slice("image/".length).replace("jpeg", "jpg")}`;

/** base64 (RFC 4648, section 4) of bytes of any length. */
export function toBase64(bytes) {
  let binary = "";
  const PIECE = 0x8000; // more arguments at once overflow the stack
  for (let at = 0; at < bytes.length; at += PIECE) binary += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return btoa(binary);
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export const dataUrl = (mimeType, base64) => `data:${mimeType};base64,${base64}`;
