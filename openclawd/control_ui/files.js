// The bytes of files that wait to be sent. IndexedDB keeps them over a reload; where there is none, or no room, they
// are there as long as this page. Their ids are in drafts and in the outbox: those are written first, and taken away
// first, so a file that no one of them names is left over from something that is done with.

import { randomHex } from "./bytes.js";
import { localStore } from "./storage.js";

const SHELF = "files";
const here = new Map(); // id -> Uint8Array

let opening = null;

function database() {
  opening ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(localStore.name("files"), 1);
      request.onupgradeneeded = () => request.result.createObjectStore(SHELF);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
      request.onblocked = () => resolve(null);
    } catch {
      resolve(null); // site data is blocked
    }
  });
  return opening;
}

/** Carry out one transaction; `otherwise` when the browser will not. */
async function transact(mode, act, otherwise) {
  const open = await database();
  if (!open) return otherwise;
  return new Promise((resolve) => {
    try {
      const transaction = open.transaction(SHELF, mode);
      const request = act(transaction.objectStore(SHELF));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => resolve(otherwise); // no room
    } catch {
      resolve(otherwise);
    }
  });
}

export const newFileId = () => randomHex(12);

/** Whether the bytes outlive this page. */
export async function keepFile(id, bytes) {
  here.set(id, bytes);
  return (await transact("readwrite", (shelf) => shelf.put(bytes, id), null)) === id;
}

/** The bytes, or null. */
export async function fileBytes(id) {
  return here.get(id) ?? (await transact("readonly", (shelf) => shelf.get(id), null)) ?? null;
}

export async function dropFiles(ids) {
  for (const id of ids) here.delete(id);
  for (const id of ids) await transact("readwrite", (shelf) => shelf.delete(id), null);
}

/** Drop what none of `named()` names; asked for after the list of files, so nothing that is being added is missed. */
export async function sweepFiles(named) {
  const ids = await transact("readonly", (shelf) => shelf.getAllKeys(), []);
  const wanted = new Set(named());
  await dropFiles(ids.filter((id) => !wanted.has(id) && !here.has(id)));
}
