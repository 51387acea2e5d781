// A small menu at a button: a handful of things to do, by arrow keys or pointer.

import { h } from "../dom.js";
import { Popup } from "./popup.js";

const panel = h("div", { class: "menu floating", role: "menu" });
let popup = null;

/**
 * Show a menu of [{label, act(), why?}] at `button`; `why` says why something cannot be done, and then it is not done.
 */
export function showMenu(button, name, items) {
  if (!popup) {
    document.body.append(panel);
    popup = new Popup(panel);
    panel.addEventListener("keydown", moved);
  }
  if (popup.isAt(button)) {
    popup.close();
    return;
  }
  popup.close({ refocus: false });
  panel.setAttribute("aria-label", name);
  panel.replaceChildren(...items.map(({ label, act, why }) => h("button", {
    type: "button", role: "menuitem", tabindex: "-1", "aria-disabled": why ? "true" : null,
    onclick() {
      if (why) return;
      popup.close();
      act();
    },
  }, h("span", {}, label), why && h("small", { class: "muted" }, why))));
  popup.open(button);
  panel.firstElementChild.focus();
}

function moved(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  const items = [...panel.children];
  const at = items.indexOf(document.activeElement);
  const to = event.key === "Home" ? 0 : event.key === "End" ? items.length - 1
    : event.key in steps ? (at + steps[event.key] + items.length) % items.length : null;
  if (event.key === "Tab") popup.close();
  if (to === null) return;
  event.preventDefault();
  items[to].focus();
}
