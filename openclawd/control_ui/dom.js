// Elements without a framework.

/** An element: properties starting with "on" are listeners, false, null and undefined ones are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Put exactly these elements into `parent`, in this order, touching only what is not there already. */
export function arrange(parent, elements) {
  // What goes first goes: an element that is moved past it would lose the focus, and a press under way.
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const element of elements) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}

function copyBySelection(text) {
  const field = h("textarea", { class: "hidden-visually", readonly: true });
  field.value = text;
  const focused = document.activeElement;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  focused?.focus();
  return copied;
}

/** Plain http on a LAN has no clipboard API; the old way works everywhere. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

// Long enough to be seen, short enough not to be in the way of the next copy.
const COPIED_MS = 1_500;

export function copyButton(text, label) {
  const button = h("button", { type: "button", class: "copy", "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = (await copyText(text())) ? "Copied" : "Select and copy";
    setTimeout(() => {
      button.textContent = "Copy";
    }, COPIED_MS);
  });
  return button;
}

/** A command for the gateway's computer, and a button that copies it. */
export const commandLine = (command) =>
  h("div", { class: "command" }, h("code", {}, command), copyButton(() => command, "Copy the command"));

/** Say something to a screen reader when it has a moment. */
export function announce(text) {
  byId("announcer").textContent = text;
}
