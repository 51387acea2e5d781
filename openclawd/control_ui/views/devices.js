// The dialog "Devices", and the entry in the sidebar that opens it. Changes come in while it is open.

import { clientOf, describeRequest, nameOf } from "../devices.js";
import { announce, arrange, byId, h } from "../dom.js";
import { DeviceRow } from "./device_row.js";

// Fewer are seen at a glance.
const SEARCHED_FROM = 8;

export class DevicesDialog {
  #dialog = byId("devices");
  #entry = byId("open-devices");
  #count = byId("devices-waiting");
  #waiting = byId("waiting-devices");
  #paired = byId("paired-devices");
  #search = byId("devices-search");
  #requests = new Map();
  #rows = new Map();

  /** devices: the gateway's Devices. opened(): the dialog is about to open. */
  constructor(devices, opened) {
    this.devices = devices;
    this.#entry.addEventListener("click", () => {
      opened();
      this.open();
    });
    byId("devices-close").addEventListener("click", () => this.close());
    this.#dialog.addEventListener("click", ({ target }) => target === this.#dialog && this.close());
    // Outside, Escape stops an answer.
    this.#dialog.addEventListener("keydown", (event) => event.key === "Escape" && event.stopPropagation());
    this.#search.addEventListener("input", () => this.draw());
  }

  open() {
    this.#search.value = "";
    this.draw();
    if (!this.#dialog.open) this.#dialog.showModal();
    byId("devices-close").focus();
    this.devices.refresh();
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  /** What the devices are now. */
  draw() {
    const { isAllowed, waiting, paired } = this.devices;
    this.#entry.hidden = !isAllowed;
    if (!isAllowed) this.close();
    this.#count.textContent = waiting.length ? `${waiting.length} waiting` : "";
    this.#count.hidden = !waiting.length;
    if (!this.#dialog.open && !this.#rows.size && !paired.length) return;
    this.#drawWaiting(waiting);
    this.#drawPaired(paired);
  }

  #drawWaiting(requests) {
    const old = this.#requests;
    this.#requests = new Map(requests.map((request) => [request.requestId, old.get(request.requestId) ?? this.#request(request)]));
    this.#keepFocus(this.#waiting, () => arrange(this.#waiting, [...this.#requests.values()]));
    byId("waiting-part").hidden = !requests.length;
  }

  #request(request) {
    const name = nameOf(request);
    const why = h("p", { class: "why", role: "alert", hidden: true });
    let asked = false; // a disabled button would lose the focus
    const decide = (what, done) => async () => {
      if (asked) return;
      asked = true;
      const problem = await this.devices.decide(what, request.requestId);
      asked = false;
      if (!problem) announce(`${name} ${done}`);
      why.textContent = problem;
      why.hidden = !problem;
    };
    const button = (word, kind, act) => h("button", { type: "button", class: kind, onclick: act, "aria-label": `${word} ${name}` }, word);
    const row = h("li", { class: "device" },
      h("div", { class: "device-shown" },
        h("div", { class: "device-words" },
          h("div", { class: "device-name" }, h("span", { class: "dot wait" }), h("strong", {}, name)),
          h("span", { class: "muted" }, `${clientOf(request)}. ${describeRequest(request)}`)),
        h("div", { class: "row" },
          button("Approve", "btn primary", decide("approve", "was let in")),
          button("Reject", "btn", decide("reject", "was turned away")))),
      why);
    return row;
  }

  #drawPaired(paired) {
    const wanted = this.#search.value.trim().toLowerCase();
    this.#search.hidden = paired.length < SEARCHED_FROM && !wanted;
    const old = this.#rows;
    this.#rows = new Map(paired.map((device) => [device.deviceId, old.get(device.deviceId) ?? this.#row(device.deviceId)]));
    for (const device of paired) this.#rows.get(device.deviceId).update(device, this.devices.isHere(device.deviceId));
    const shown = paired.filter((device) => [nameOf(device), clientOf(device), device.remoteIp ?? "", device.deviceId]
      .some((text) => text.toLowerCase().includes(wanted))).map(({ deviceId }) => this.#rows.get(deviceId));
    // This browser stands first: it is the one to be careful with.
    shown.sort((a, b) => Number(b.isMine) - Number(a.isMine));
    this.#keepFocus(this.#paired, () => arrange(this.#paired, shown.map((row) => row.element)));
    byId("no-device").hidden = shown.length > 0;
    byId("no-device").textContent = wanted ? "No device has that in its name." : "No device is paired yet.";
  }

  #row(deviceId) {
    return new DeviceRow(deviceId, {
      rename: (name) => this.devices.rename(deviceId, name),
      remove: () => this.devices.remove(deviceId),
    }, this.devices.offers("rename"));
  }

  /** Where the row goes that has the focus, the dialog's own button has it: it must not fall out of the dialog. */
  #keepFocus(list, act) {
    const had = list.contains(document.activeElement);
    act();
    if (had && !list.contains(document.activeElement) && this.#dialog.open) byId("devices-close").focus();
  }
}
