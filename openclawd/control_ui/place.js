// Where this page lives. Everything is relative to the folder that this module came from: the page works under any
// base path and behind any proxy that forwards one, and never talks to another origin.

const base = new URL("./", import.meta.url);

/** The folder's path, "/" unless the gateway or a proxy serves the page below a base path. */
export const basePath = base.pathname;

export const configUrl = new URL("__openclaw/control-ui-config.json", base).href;

export const socketUrl = (() => {
  const url = new URL(base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
})();

export const pageVersion = document.querySelector('meta[name="version"]').content;
