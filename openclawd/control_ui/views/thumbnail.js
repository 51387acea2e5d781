// A picture that waits to be sent, made small: a large one in a small frame would cost memory for nothing.

import { fileBytes } from "../files.js";

const SIDE_PX = 192;

/** A data URL of at most SIDE_PX either way; null when the browser cannot read the picture. */
export async function thumbnail(file) {
  const bytes = await fileBytes(file.id);
  if (!bytes) return null;
  try {
    const picture = await createImageBitmap(new Blob([bytes], { type: file.mimeType }));
    const scale = Math.min(1, SIDE_PX / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
    return canvas.toDataURL("image/png");
  } catch {
    return null;
  }
}
