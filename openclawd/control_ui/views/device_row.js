// One paired device in the dialog: what it is, a field while it gets a new name, a question before it is removed.

import { clientOf, lastUsed, nameOf, rightsOf } from "../devices.js";
import { h } from "../dom.js";
import { ago, fullMoment } from "../format.js";
import { currentDeviceId, fingerprint } from "../identity.js";

const MAX_NAME = 64;

const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

export class DeviceRow {
  element = h("li", { class: "device" });

  #name = h("strong");
  #mine = h("span", { class: "tag", hidden: true }, "this browser");
  #dot = h("span", { class: "dot" });
  #when = h("span");
  #what = h("span", { class: "muted" });
  #shown;
  #instead = null; // what stands in place of it: a field, a question

  /** actions: {rename(name), remove()}: each gives "" or a sentence that says why not; canRename: false hides it. */
  constructor(deviceId, actions, canRename) {
    this.deviceId = deviceId;
    this.actions = actions;
    this.#mine.hidden = !this.isMine;
    const button = (word, act) => h("button", { type: "button", class: "link", onclick: act }, word);
    this.renameButton = canRename && button("Rename", () => this.rename());
    this.removeButton = button("Remove", () => this.askToRemove());
    this.#shown = h("div", { class: "device-shown" },
      h("div", { class: "device-words" },
        h("div", { class: "device-name" }, this.#name, this.#mine),
        h("div", { class: "device-when muted" }, this.#dot, this.#when),
        this.#what),
      h("div", { class: "device-acts muted" }, this.renameButton, this.removeButton));
    this.element.append(this.#shown);
  }

  update(device, isHere) {
    this.device = device;
    const name = nameOf(device);
    put(this.#name, name);
    const at = lastUsed(device);
    this.#dot.className = `dot ${isHere ? "" : "off"}`;
    put(this.#when, isHere ? "Here now" : at ? `Last here ${this.#ago(at)}` : "Not here since it was paired");
    this.#when.title = at ? fullMoment(at) : "";
    put(this.#what, [clientOf(device), rightsOf(device), device.remoteIp && `from ${device.remoteIp}`,
      fingerprint(device.deviceId)].filter(Boolean).join(" · "));
    if (this.renameButton) this.renameButton.setAttribute("aria-label", `Rename ${name}`);
    this.removeButton.setAttribute("aria-label", `Remove ${name}`);
  }

  #ago(at) {
    const words = ago(at);
    return words === "now" ? "a moment ago" : `${words} ago`;
  }

  get isMine() {
    return this.deviceId === currentDeviceId();
  }

  #show(instead, focused) {
    this.#instead?.remove();
    this.#instead = instead;
    this.#shown.hidden = instead !== null;
    if (instead) this.element.append(instead);
    focused?.focus();
  }

  rename() {
    const old = nameOf(this.device);
    const field = h("input", {
      "aria-label": "Name of the device", maxlength: MAX_NAME, value: old, autocomplete: "off", spellcheck: "false",
      required: true,
    });
    this.#ask({
      label: `Rename ${old}`, words: field, yes: "Save", no: "Cancel", isForm: true, back: this.renameButton,
      focused: field,
      act: () => {
        const name = field.value.trim();
        return !name || name === old ? "" : this.actions.rename(name);
      },
    });
    field.select();
  }

  askToRemove() {
    const name = nameOf(this.device);
    const words = this.isMine
      ? "Remove this browser? It is signed out at once, here and in its other tabs."
      : `Remove “${name}” (${fingerprint(this.deviceId)})? It is signed out at once and does not come back without the token or an approval.`;
    this.#ask({
      label: `Remove ${name}?`, words: h("p", {}, words), yes: "Remove", no: "Keep", back: this.removeButton,
      act: () => this.actions.remove(),
    });
  }

  /** A question in place of the row. act() gives "" when it is done, or why not. */
  #ask({ label, words, yes, no, act, back, isForm = false, focused = null }) {
    const why = h("p", { class: "why", role: "alert", hidden: true });
    const leave = () => this.#show(null, back);
    const keep = h("button", { type: "button", class: "btn", onclick: leave }, no);
    let asked = false;
    const submit = async (event) => {
      event.preventDefault();
      if (asked) return;
      asked = true;
      const problem = await act();
      asked = false;
      if (!problem) {
        leave();
        return;
      }
      why.textContent = problem;
      why.hidden = false;
    };
    this.#show(h("form", {
      class: "device-ask", "aria-label": label, role: isForm ? null : "group", onsubmit: submit,
      onkeydown: (event) => {
        if (event.key !== "Escape") return;
        // Of the dialog it would be the end.
        event.preventDefault();
        event.stopPropagation();
        leave();
      },
    }, words, why, h("div", { class: "row" }, h("button", { class: "btn" }, yes), keep)), focused ?? keep);
  }
}
