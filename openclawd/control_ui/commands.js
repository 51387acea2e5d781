// What begins with a slash: the gateway's own commands, and what may stand behind them.

// Where the gateway has no list of them.
const KNOWN = [
  { name: "help", description: "What can be typed here" },
  { name: "status", description: "What the gateway and the model are doing" },
  { name: "stop", description: "Stop the answer and everything that waits" },
  { name: "new", description: "Begin this chat afresh; what was said is put away" },
  { name: "reset", description: "Begin this chat afresh, as /new does" },
].map((command) => ({ ...command, textAliases: [`/${command.name}`], acceptsArgs: false }));

const MOST = 12;

export class Commands {
  #gateway;
  #choices;
  #asked = null; // promise of the list, for this connection
  #list = KNOWN;
  #changing = null; // {name, choices} of the command that was typed last

  /** choices(name): promise of [{value, label}] for a command whose choices change; null: as the list has them. */
  constructor(gateway, choices) {
    this.#gateway = gateway;
    this.#choices = choices;
    gateway.on("hello", () => {
      this.#asked = null;
    });
  }

  /** What `typed` may become, as far as it is known here: [{text, shown, what}]. */
  matching(typed) {
    const name = /^\/[\w:-]*$/.exec(typed)?.[0].toLowerCase();
    if (name) return this.#names(name).slice(0, MOST);
    const { command, argument } = split(typed);
    if (!command) return [];
    const wanted = argument.toLowerCase();
    return this.#known(command).filter((choice) => [choice.value, choice.label].some((word) => word.toLowerCase().includes(wanted)))
      .map(({ value, label }) => ({ text: `${command} ${value}`, shown: value, what: label === value ? "" : label }))
      .slice(0, MOST);
  }

  /** Get what is not known yet about what is typed. */
  async learn(typed) {
    if (this.#gateway.offers("commands.list")) {
      this.#asked ??= this.#gateway.request("commands.list", { includeArgs: true, scope: "text" });
      try {
        const { commands } = await this.#asked;
        if (commands?.length) this.#list = commands;
      } catch {
        this.#asked = null;
      }
    }
    const name = this.#find(split(typed).command)?.name;
    try {
      if (name) this.#changing = { name, choices: await this.#choices(name) };
    } catch {
      // No answer: then without.
    }
  }

  #find(command) {
    return command ? this.#list.find((one) => namesOf(one).includes(command.toLowerCase())) : null;
  }

  #known(command) {
    const found = this.#find(command);
    const changing = this.#changing?.name === found?.name ? this.#changing?.choices : null;
    return changing ?? found?.args?.[0]?.choices ?? [];
  }

  #names(start) {
    const found = [];
    for (const command of this.#list) {
      const fits = namesOf(command).find((name) => name.startsWith(start));
      if (!fits) continue;
      const goesOn = command.args?.some((argument) => argument.required || argument.choices) || CHOOSING.has(command.name);
      found.push({ text: goesOn ? `${fits} ` : fits, shown: fits, what: command.description });
    }
    return found.sort((a, b) => Number(b.shown === start) - Number(a.shown === start));
  }
}

/** "/model gpt" as {command, argument}; without a command when it is none, or when more than its argument is there. */
function split(typed) {
  const [, command, argument] = /^(\/[\w:-]+)[ \t]+(\S*)$/.exec(typed) ?? [];
  return { command, argument };
}

// Their choices are not in the list, as they change.
const CHOOSING = new Set(["model", "think"]);

const namesOf = (command) => (command.textAliases?.length ? command.textAliases : [`/${command.name}`])
  .map((name) => name.toLowerCase());
