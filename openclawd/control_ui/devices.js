// Devices that wait at the gateway's door, for who may let them in.

import { Disconnected } from "./calls.js";

export class Devices {
  #gateway;
  #show;

  /** show(requests): the devices that wait are these. */
  constructor(gateway, show) {
    this.#gateway = gateway;
    this.#show = show;
  }

  async refresh() {
    if (!this.#gateway.offers("device.pair.list")) return;
    try {
      this.#show((await this.#gateway.request("device.pair.list")).pending ?? []);
    } catch (error) {
      if (!(error instanceof Disconnected)) this.#show([]); // without the right to decide there is nothing to show
    }
  }

  /** what: "approve" or "reject". A sentence when it did not work. */
  async decide(what, requestId) {
    try {
      await this.#gateway.request(`device.pair.${what}`, { requestId });
      return "";
    } catch (error) {
      this.refresh();
      return error instanceof Disconnected ? "The gateway did not answer; try again." : `That did not work: ${error.message}.`;
    }
  }
}
