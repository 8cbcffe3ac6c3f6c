// What the page knows: the state of all proxies, the last ten minutes, and who wants to hear of it.
import { expand } from "./profile.js";

/** How many seconds are kept. */
export const SECONDS_MAX = 600;
/** How many seconds of a proxy are kept in all: of very many proxies fewer each. */
const ENTRIES_MAX = 100_000;

/** How long a state may be under way, in milliseconds. */
const ANSWER_LEAD = 2000;

export const store = {
  version: "", seed: null, rulesOn: true,
  /** By name: what `/state` says of each, its profile with a list of rules per direction. */
  proxies: new Map(),
  selected: null,
  /** What `/live` said each second, the last one at the end. */
  history: [],
  online: false,
  linked: remembered("linked") !== "no",
  minutes: Number(remembered("minutes") ?? 1),
  singleKeys: remembered("singleKeys") !== "no",
};

const listeners = new Map();

/** Calls back after each `state`, `second`, `selection`, `connection` or `undo`. */
export function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, []);
  listeners.get(event).push(listener);
}

export function tell(event) {
  for (const listener of listeners.get(event) ?? []) listener();
}

/** The proxy whose tab is open. */
export const current = () => store.proxies.get(store.selected);

/** The profile that is shown: with what is being sent, if anything is. */
export const shown = (proxy) => proxy.local ?? proxy.profile;

export function takeState(state) {
  const before = store.proxies;
  store.version = state.version;
  store.seed = state.seed;
  store.rulesOn = state.rules_on;
  store.proxies = new Map(state.proxies.map((told) => {
    const known = before.get(told.name);
    const proxy = known ?? { local: null };
    // The answer to a request of ours may have come before a state that was made earlier.
    const older = known?.revision > told.revision && Date.now() - known.answered < ANSWER_LEAD;
    if (!older) Object.assign(proxy, told, { profile: expand(told.profile) });
    return [told.name, proxy];
  }));
  if (!store.proxies.has(store.selected)) select(wanted() ?? store.proxies.keys().next().value ?? null);
  tell("state");
}

/** Knows what a request of ours answered. */
export function takeProfile(proxy, profile, revision) {
  proxy.profile = expand(profile);
  proxy.answered = Date.now();
  if (revision) proxy.revision = revision;
}

export function takeSeconds(seconds, fromStart) {
  if (fromStart) store.history = [];
  store.history.push(...seconds);
  const proxies = Object.keys(store.history.at(-1)?.proxies ?? {}).length;
  const most = Math.min(SECONDS_MAX, Math.ceil(ENTRIES_MAX / Math.max(proxies, 1)));
  store.history.splice(0, store.history.length - most);
  tell("second");
}

const wanted = () => {
  const name = decodeURIComponent(location.hash.slice(1));
  return store.proxies.has(name) ? name : null;
};

export function select(name) {
  if (store.selected === name) return;
  store.selected = name;
  // The address is that of the tab, so that a reload comes back to it.
  if (name !== null) history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  document.title = name === null ? "jostle" : `${name} · jostle`;
  tell("selection");
}

addEventListener("hashchange", () => wanted() && select(wanted()));

/** A choice of the page's own, kept where the browser allows it. */
export function remember(name, value) {
  store[name] = value;
  try {
    localStorage.setItem(`jostle-${name}`, value === true ? "yes" : value === false ? "no" : String(value));
  } catch { /* a browser may keep nothing */ }
}

function remembered(name) {
  try {
    return localStorage.getItem(`jostle-${name}`);
  } catch {
    return null;
  }
}
