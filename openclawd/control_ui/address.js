// Which conversation the page's address names. "main" and bare names are short forms, as the gateway reads them; a
// stock page's links work here, too.

const defaults = { defaultAgentId: "main", mainSessionKey: "agent:main:main" };

/** What hello-ok says about the names of sessions. */
export const learnNames = (sessionDefaults) => Object.assign(defaults, sessionDefaults);

export const mainKey = () => defaults.mainSessionKey;
export const isMain = (key) => key === defaults.mainSessionKey;

/** The key as the gateway writes it; case does not count. */
function canonical(key) {
  const name = (key ?? "").trim().toLowerCase();
  if (!name || name === "main") return defaults.mainSessionKey;
  if (name.startsWith("agent:") || name === "global" || name === "unknown") return name;
  return `agent:${defaults.defaultAgentId}:${name}`;
}

export const keyInAddress = () => canonical(new URLSearchParams(location.search).get("session"));
export const addressOf = (key) => (isMain(key) ? location.pathname : `?session=${encodeURIComponent(key)}`);

/** The agent of a session, or the one who answers where none is named. */
export const agentOf = (key) => (key?.startsWith("agent:") && key.split(":")[1]) || defaults.defaultAgentId;
