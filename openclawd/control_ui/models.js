// The models that can answer, and how hard they can think: as the gateway lists them, grouped for a person.

import { timeOfDay } from "./format.js";
import { BUILT_IN } from "./transcript.js";

/** models.list, read when somebody wants to choose. */
export class Catalog {
  models = null;

  #gateway;

  constructor(gateway) {
    this.#gateway = gateway;
  }

  /** Rejects as `request` does; what was read before stays. */
  async read() {
    this.models = (await this.#gateway.request("models.list")).models ?? [];
    return this.models;
  }
}

// Where a model says that it reasons and not how.
const LEVELS = ["off", "minimal", "low", "medium", "high"].map((id) => ({ id, label: id }));

export const refOf = ({ provider, id }) => `${provider}/${id}`;

/** The model that answers in a session, by its row and the gateway's defaults: {ref, provider, model}; null: none known. */
export function inUse(row, defaults) {
  const { model, modelProvider } = row?.model ? row : defaults;
  return model ? { ref: refOf({ provider: modelProvider, id: model }), provider: modelProvider, model } : null;
}

/** Whether the session has a choice of its own. */
export function isChosen(row, defaults) {
  if (!row?.model) return false;
  if (row.modelOverrideSource) return row.modelOverrideSource === "user";
  return inUse(row, defaults)?.ref !== inUse(null, defaults)?.ref;
}

const REASONS = {
  "missing-auth": "no key for this provider",
  "auth-failed": "the provider refused its key",
};

/** Why a model cannot answer now; empty when it can. */
export function whyNot(model) {
  if (model.available !== false) return "";
  if (model.unavailableUntil) return `rests until ${timeOfDay(model.unavailableUntil)}`;
  return REASONS[model.unavailableReason] ?? "not available now";
}

/** [{provider, models}] in the gateway's order, its built-in model left out where there is another. */
export function byProvider(models) {
  const real = models.filter((model) => model.provider !== BUILT_IN);
  const groups = new Map();
  for (const model of real.length ? real : models) {
    if (!groups.has(model.provider)) groups.set(model.provider, []);
    groups.get(model.provider).push(model);
  }
  return [...groups].map(([provider, members]) => ({ provider, models: members }));
}

/** The levels of a model that reasons, [{id, label}]; none for one that does not. */
export function thinkingLevels(model, row) {
  const told = model?.thinkingLevels ?? (row?.thinkingLevels?.length > 1 ? row.thinkingLevels : null);
  if (told) return told.length > 1 ? told : [];
  return model?.reasoning ? LEVELS : [];
}

/** What may stand behind a command where the models and a session's row decide: [{value, label}]; null elsewhere. */
export async function choicesBehind(command, catalog, row, defaults) {
  if (command !== "model" && command !== "think") return null;
  const models = catalog.models ?? (await catalog.read());
  if (command === "model") {
    return byProvider(models).flatMap((group) => group.models).filter((model) => !whyNot(model))
      .map((model) => ({ value: refOf(model), label: model.name }));
  }
  const used = inUse(row, defaults)?.ref;
  return thinkingLevels(models.find((model) => refOf(model) === used), row).map(({ id, label }) => ({ value: id, label }));
}
