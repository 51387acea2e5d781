// Numbers, times and names as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const number = new Intl.NumberFormat(undefined);

export const timeOfDay = (ms) => clock.format(ms);
export const fullMoment = (ms) => moment.format(ms);
export const count = (value) => number.format(value);

/** "12.3 k": a number of tokens where the exact one would be noise. */
export function roughCount(value) {
  if (value < 1_000) return String(value);
  if (value < 999_500) return `${Number((value / 1_000).toFixed(value < 9_950 ? 1 : 0))} k`;
  return `${Number((value / 1_000_000).toFixed(1))} M`;
}

/** "$0.004", "$1.20": a sum in US dollars with the digits that matter. */
export function dollars(value) {
  if (value >= 0.995) return `$${value.toFixed(2)}`;
  return value < 0.00005 ? "under $0.0001" : `$${Number(value.toPrecision(2))}`;
}

/** "640 bytes", "12 kB", "4.8 MB". */
export function size(bytes) {
  if (bytes < 1_000) return `${bytes} bytes`;
  return bytes < 999_500 ? `${Math.round(bytes / 1_000)} kB` : `${Number((bytes / 1_000_000).toFixed(1))} MB`;
}

const dayOf = (ms) => new Date(ms).toDateString();

export const sameDay = (a, b) => dayOf(a) === dayOf(b);

export function day(ms, now = Date.now()) {
  if (sameDay(ms, now)) return "Today";
  if (sameDay(ms, now - 86_400_000)) return "Yesterday";
  return dayName.format(ms);
}

// From one minute on one figure is enough.
function roughly(ms) {
  if (ms < 90 * 60_000) return `${Math.max(1, Math.round(ms / 60_000))} min`;
  if (ms < 36 * 3_600_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} d`;
}

/** "0.4 s", "12 s", "3 min", "2 h", "6 d": the way one would say it. */
export function duration(ms) {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 90_000 ? `${Math.round(ms / 1000)} s` : roughly(ms);
}

// These stand still on the page, so they are never finer than a minute.
export const uptime = (ms) => (ms < 60_000 ? "just started" : `up ${roughly(ms)}`);
export const ago = (ms, now = Date.now()) => (now - ms < 60_000 ? "now" : roughly(now - ms));

/** "Firefox on Linux": what a person calls this browser when asked whether to let it in. */
export function browserName(agent) {
  const browser = /Edg\//.test(agent) ? "Edge" : /OPR\//.test(agent) ? "Opera" : /Firefox\//.test(agent) ? "Firefox"
    : /Chrom(e|ium)\//.test(agent) ? "Chrome" : /Safari\//.test(agent) ? "Safari" : "Browser";
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iOS" : /Windows/.test(agent) ? "Windows"
    : /Mac OS X/.test(agent) ? "macOS" : /CrOS/.test(agent) ? "ChromeOS" : /Linux/.test(agent) ? "Linux" : "";
  return system ? `${browser} on ${system}` : browser;
}
