// Changes: shown at once, sent one after the other, and undone.
import { Refused, ask, path } from "./api.js";
import { complain, content, say } from "./dom.js";
import { clone, compact, merge, same } from "./profile.js";
import { shown, store, takeProfile, tell } from "./store.js";

const UNDO_MAX = 200;
/** How often a change is tried again that another one came before. */
const CONFLICTS_MAX = 5;

const done = [];
const undone = [];

/** What would be undone and redone next. */
export const next = () => ({ undo: done.at(-1)?.label, redo: undone.at(-1)?.label });

/** Remembers something that was done: `entry` has a label, and undoes and redoes it. */
export function remember(entry) {
  done.push(entry);
  done.splice(0, done.length - UNDO_MAX);
  undone.length = 0;
  tell("undo");
}

/**
 * Changes the profile of a proxy. `change` works on a copy with a list of rules per direction. Changes of
 * the same `gesture`, one drag of a slider, are undone together.
 */
export function edit(name, label, change, gesture) {
  const proxy = store.proxies.get(name);
  if (!proxy) return;
  const before = shown(proxy);
  const after = clone(before);
  change(after);
  if (same(before, after)) return;
  const last = done.at(-1);
  if (gesture && last?.gesture === gesture) Object.assign(last, { after, label });
  else remember(profileEntry(name, label, before, after, gesture));
  tell("undo");
  show(proxy, after);
}

function profileEntry(name, label, before, after, gesture) {
  const entry = { name, label, before, after, gesture };
  // Others may have changed something else meanwhile; that stays.
  const lead = (from, to) => {
    const proxy = store.proxies.get(name);
    if (!proxy) throw new Refused(`there is no ${name} any more`, 404);
    const now = shown(proxy);
    show(proxy, same(now, entry[from]) ? clone(entry[to]) : merge(now, entry[from], entry[to]));
  };
  entry.undo = () => lead("after", "before");
  entry.redo = () => lead("before", "after");
  return entry;
}

async function step(from, to, act, word) {
  const entry = from.pop();
  if (!entry) return say(`Nothing to ${act}.`);
  to.push(entry);
  try {
    await entry[act]();
    say(`${word}: ${entry.label}.`);
  } catch (error) {
    complain(`Could not ${act} “${entry.label}”: ${error.message}`);
  }
  tell("undo");
}

export const undo = () => step(done, undone, "undo", "Undone");
export const redo = () => step(undone, done, "redo", "Done again");

function show(proxy, profile) {
  proxy.local = profile;
  proxy.changes = (proxy.changes ?? 0) + 1;
  tell("state");
  if (!proxy.sending) send(proxy);
}

async function send(proxy) {
  proxy.sending = true;
  try {
    for (let conflicts = 0; proxy.local;) {
      const [sent, changes, base] = [proxy.local, proxy.changes, proxy.profile];
      try {
        const match = proxy.revision == null ? {} : { "If-Match": `"${proxy.revision}"` };
        const { value, revision } = await ask("PUT", path(proxy.name, "profile"), compact(sent), match);
        takeProfile(proxy, value, revision);
        for (const entry of [...done, ...undone]) {
          // From now on what was done is what the proxy says of it.
          if (entry.after === sent) entry.after = proxy.profile;
          if (entry.before === sent) entry.before = proxy.profile;
        }
        if (proxy.changes === changes) proxy.local = null;
        content(proxy.name);
      } catch (error) {
        if (error.status !== 412 || (conflicts += 1) > CONFLICTS_MAX) throw error;
        const { value, revision } = await ask("GET", path(proxy.name, "profile"));
        takeProfile(proxy, value, revision);
        proxy.local = merge(proxy.profile, base, proxy.local);
      }
    }
  } catch (error) {
    proxy.local = null;
    // What did not happen is not undone.
    const last = done.at(-1);
    if (last?.name === proxy.name && !same(last.after, proxy.profile)) done.pop();
    complain(error.message, proxy.name);
    tell("undo");
  } finally {
    proxy.sending = false;
    tell("state");
  }
}

/** Does something else through the API, with a way back. */
export async function act(label, doIt, undoIt) {
  try {
    await doIt();
    content("act");
    say(`${label}.`);
    if (undoIt) remember({ label, undo: undoIt, redo: doIt });
  } catch (error) {
    complain(error.message, "act");
  }
}

/** Switches all rules of all proxies off or on. */
export function switchRules(on) {
  const set = (to) => ask("POST", "/rules", { on: to }).then(() => {
    store.rulesOn = to;
    tell("state");
  });
  return act(on ? "All rules work" : "All rules stand still", () => set(on), () => set(!on));
}

/** Lets a proxy listen, or closes it. */
export function switchProxy(name, on) {
  const set = (to) => ask("PATCH", path(name), { enabled: to });
  return act(`${name} ${on ? "listens" : "is closed"}`, () => set(on), () => set(!on));
}
