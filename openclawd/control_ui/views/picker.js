// Which model answers in this chat and how hard it thinks; and, quietly, what the chat has used.

import { byId, h } from "../dom.js";
import { count, dollars, roughCount } from "../format.js";
import { byProvider, inUse, isChosen, refOf, thinkingLevels, whyNot } from "../models.js";
import { BUILT_IN } from "../transcript.js";
import { Popup } from "./popup.js";

const MODELS_BEFORE_SEARCH = 8;

export class Picker {
  #button = byId("model");
  #panel = byId("model-panel");
  #search = byId("model-search");
  #list = byId("models");
  #thinking = byId("thinking");
  #why = byId("model-why");
  #popup = new Popup(this.#panel);
  #at = 0;
  #session = { key: "", row: null, defaults: {} };

  /** catalog: Catalog · actions: {choose(changes): promise of "" or a sentence} */
  constructor(catalog, actions) {
    this.catalog = catalog;
    this.actions = actions;
    this.#button.addEventListener("click", () => (this.#popup.isOpen ? this.#popup.close() : this.#open()));
    this.#search.addEventListener("input", () => this.#drawList({ first: true }));
    for (const field of [this.#search, this.#list]) field.addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** Another chat is open, or its row is another. */
  show(key, row, defaults) {
    if (key !== this.#session.key) this.#popup.close({ refocus: false });
    this.#session = { key, row, defaults };
    const used = inUse(row, defaults);
    this.#button.hidden = !used;
    if (used) {
      const level = row?.thinkingLevel && row.thinkingLevel !== "off" ? row.thinkingLevel : "";
      const words = used.provider === BUILT_IN ? "no model connected" : [used.model, level].filter(Boolean).join(" · ");
      byId("model-word").textContent = words;
      this.#button.setAttribute("aria-label", `Model: ${words}`);
    }
    this.#drawSpent();
    if (this.#popup.isOpen) this.#draw();
  }

  #drawSpent() {
    const { totalTokens, contextTokens, estimatedCostUsd, totalTokensFresh } = this.#session.row ?? {};
    const known = totalTokens > 0 && totalTokensFresh !== false;
    const cost = estimatedCostUsd > 0 ? dollars(estimatedCostUsd) : "";
    const percent = known && contextTokens ? Math.round((100 * totalTokens) / contextTokens) : 0;
    const share = known && contextTokens && (percent ? `${percent} %` : "under 1 %");
    byId("spent").textContent = [share || (known && `${roughCount(totalTokens)} tokens`), cost].filter(Boolean).join(" · ");
    const words = [
      known && (contextTokens
        ? `${count(totalTokens)} of ${count(contextTokens)} tokens of context`
        : `${count(totalTokens)} tokens of context`),
      cost && `about ${cost}`,
    ].filter(Boolean).join(", ");
    byId("spent").title = byId("model-spent").textContent = words && `This chat: ${words}`;
  }

  async #open() {
    this.#why.hidden = true;
    this.#search.value = "";
    this.#draw();
    this.#popup.open(this.#button);
    this.#focus();
    try {
      await this.catalog.read();
    } catch (error) {
      this.#tell(`The models could not be listed: ${error.message}.`);
    }
    if (!this.#popup.isOpen) return;
    this.#draw({ first: true });
    this.#popup.place();
    this.#focus();
  }

  #focus() {
    if (!this.#panel.contains(document.activeElement) || document.activeElement === this.#list) {
      // Where the keyboard is a screen's, it would cover what there is to choose.
      const types = !this.#search.hidden && matchMedia("(hover: hover)").matches;
      (types ? this.#search : this.#list).focus();
    }
  }

  #draw(options) {
    this.#search.hidden = (this.catalog.models?.length ?? 0) <= MODELS_BEFORE_SEARCH;
    this.#drawList(options);
    this.#drawThinking();
  }

  #current() {
    const { row, defaults } = this.#session;
    return isChosen(row, defaults) ? inUse(row, defaults)?.ref : null;
  }

  #drawList({ first = false } = {}) {
    const { row, defaults } = this.#session;
    const wanted = this.#search.hidden ? "" : this.#search.value.trim().toLowerCase();
    const used = inUse(row, defaults)?.ref;
    const chosen = this.#current();
    const usual = inUse(null, defaults);
    const options = [];
    const option = (ref, name, about, why) => {
      const element = h("div", {
        id: `model-${options.length}`, role: "option", class: "model", "aria-disabled": why ? "true" : null,
        "aria-selected": String(ref === chosen), "data-ref": ref ?? "", onclick: () => this.#choose(element),
      }, h("span", { class: "check", "aria-hidden": "true" }, ref === chosen ? "✓" : ""), h("span", { class: "name" }, name),
      h("small", { class: "muted" }, [why || about, ref !== null && ref === used && ref !== chosen && "in use"].filter(Boolean).join(" · ")));
      options.push(element);
      return element;
    };
    const groups = byProvider(this.catalog.models ?? []).map(({ provider, models }) => ({
      provider,
      models: models.filter((model) => `${provider}/${model.id} ${model.name}`.toLowerCase().includes(wanted)),
    })).filter(({ models }) => models.length);
    this.#list.replaceChildren(...[
      !wanted && usual && option(null, "Default", usual.provider === BUILT_IN ? "no model connected" : usual.model, ""),
      ...groups.map(({ provider, models }, index) => h("div", { role: "group", "aria-labelledby": `provider-${index}` },
        h("h3", { id: `provider-${index}`, role: "presentation" }, provider),
        ...models.map((model) => option(refOf(model), model.name,
          model.contextWindow ? roughCount(model.contextWindow) : "", whyNot(model))))),
      !options.length && h("p", { class: "muted" }, this.catalog.models ? "No model has that in its name." : "Loading…"),
    ].filter(Boolean));
    if (first) {
      const selected = options.findIndex((element) => element.getAttribute("aria-selected") === "true");
      this.#at = Math.max(0, selected);
    }
    this.#mark(this.#at);
  }

  get #options() {
    return [...this.#list.querySelectorAll("[role=option]")];
  }

  #mark(index) {
    const options = this.#options;
    this.#at = options.length ? (index + options.length) % options.length : 0;
    options.forEach((element, at) => element.toggleAttribute("data-at", at === this.#at));
    const marked = options[this.#at];
    marked?.scrollIntoView({ block: "nearest" });
    for (const field of [this.#search, this.#list]) {
      if (marked) field.setAttribute("aria-activedescendant", marked.id);
      else field.removeAttribute("aria-activedescendant");
    }
  }

  #pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.#mark(this.#at + step);
    } else if (event.key === "Enter" || (event.key === " " && event.target === this.#list)) {
      event.preventDefault();
      const marked = this.#options[this.#at];
      if (marked) this.#choose(marked);
    }
  }

  async #choose(element) {
    const ref = element.dataset.ref || null;
    const model = (this.catalog.models ?? []).find((one) => refOf(one) === ref);
    if (model && whyNot(model)) {
      this.#tell(`${model.name} cannot answer: ${whyNot(model)}.`);
      return;
    }
    if (ref === this.#current()) {
      this.#popup.close();
      return;
    }
    if (await this.#change({ model: ref })) this.#popup.close();
  }

  async #think(thinkingLevel) {
    if (await this.#change({ thinkingLevel })) return;
    this.#thinking.shown = ""; // the level that holds is marked again
    this.#drawThinking();
  }

  async #change(changes) {
    this.#why.hidden = true;
    const key = this.#session.key;
    const problem = await this.actions.choose(changes);
    if (problem && key === this.#session.key) this.#tell(problem);
    return !problem && key === this.#session.key;
  }

  #tell(sentence) {
    this.#why.textContent = sentence;
    this.#why.hidden = false;
    this.#popup.place();
  }

  #drawThinking() {
    const { row, defaults } = this.#session;
    const used = inUse(row, defaults)?.ref;
    const model = (this.catalog.models ?? []).find((one) => refOf(one) === used);
    const levels = thinkingLevels(model, row);
    this.#thinking.hidden = !levels.length;
    const current = row?.thinkingLevel ?? row?.thinkingDefault ?? model?.thinkingDefault ?? "off";
    const shown = JSON.stringify([levels, current]);
    if (!levels.length || this.#thinking.shown === shown) return;
    this.#thinking.shown = shown;
    const hadFocus = this.#thinking.contains(document.activeElement);
    byId("levels").replaceChildren(...levels.map(({ id, label }) => h("label", {},
      h("input", {
        type: "radio", name: "thinking", value: id, checked: id === current,
        onchange: () => this.#think(id),
      }), h("span", {}, label))));
    if (hadFocus) byId("levels").querySelector(":checked")?.focus();
  }
}
