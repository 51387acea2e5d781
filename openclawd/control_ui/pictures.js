// Pictures of messages as data URLs: those that were sent from here, and those that the gateway was asked for, until
// there are too many of them. No address of a picture ever reaches the network.

import { dataUrl } from "./attachments.js";

// As much as two dozen photographs.
const MAX_CHARACTERS = 64 * 1024 * 1024;

const pictures = new Map(); // key -> data URL, the one used last at the end
let characters = 0;

export function keepPicture(key, url) {
  forget(key);
  pictures.set(key, url);
  characters += url.length;
  for (const oldest of pictures.keys()) {
    if (characters <= MAX_CHARACTERS || oldest === key) break;
    forget(oldest);
  }
}

function forget(key) {
  characters -= pictures.get(key)?.length ?? 0;
  pictures.delete(key);
}

export function knownPicture(key) {
  const url = pictures.get(key);
  if (url) {
    pictures.delete(key);
    pictures.set(key, url);
  }
  return url ?? null;
}

const asked = new Map(); // key -> promise: a picture that is drawn twice is asked for once

/** A file of the transcript: {mimeType, fileName?, content: base64}; rejects as `request` does. */
export function askForFile(gateway, sessionKey, attachmentId) {
  const key = `${sessionKey} ${attachmentId}`;
  let answer = asked.get(key);
  if (!answer) {
    answer = gateway.request("chat.attachment.get", { sessionKey, attachmentId }).finally(() => asked.delete(key));
    asked.set(key, answer);
  }
  return answer;
}

/** The data URL of an image of the transcript. */
export async function askForPicture(gateway, sessionKey, attachmentId) {
  const known = knownPicture(attachmentId);
  if (known) return known;
  const { mimeType, content } = await askForFile(gateway, sessionKey, attachmentId);
  const url = dataUrl(mimeType, content);
  keepPicture(attachmentId, url);
  return url;
}
