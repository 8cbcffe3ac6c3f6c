// The functions that have a row: by clumsy's names and by the rules that they are.
import { RATE, SHARE, TIME } from "./units.js";
import { isOn, setOn } from "./profile.js";

const choice = (field, label, options, unless) => ({ field, label, options, unless });
const text = (field, label, hint) => ({ field, label, hint });
const flag = (field, label) => ({ field, label, flag: true });
const whole = (field, label, hint) => ({ field, label, hint, whole: true });
const SELECTION = [text("flows", "Share of flows", "100%"), choice("per", "Counts per", ["link", "flow"], "link")];
const damage = "A modelled TCP segment that is damaged is lost: its checksum would say so.";
const units = "On this raw route a packet is a piece of the stream, and what is lost stays lost.";

/** `main` is what the slider sets, `fresh` a rule that was not there before; `each`: it acts on every packet that passes. */
export const ROWS = [
  { kind: "delay", clumsy: "Lag", about: "holds each packet", main: "time", quantity: TIME, fresh: { time: "50ms" }, each: true,
    further: [text("jitter", "Jitter", "10ms"), choice("shape", "Shape", ["uniform", "normal", "pareto", "paretonormal"], "uniform"), text("memory", "Memory of the jitter", "50ms"), flag("reorder", "Jitter may reorder"), ...SELECTION] },
  { kind: "drop", clumsy: "Drop", about: "loses packets", main: "chance", quantity: SHARE, fresh: { chance: "10%" }, raw: units,
    further: [text("length", "Mean burst, in packets or time", "3 or 200ms"), ...SELECTION] },
  { kind: "batch", clumsy: "Throttle", about: "gathers packets and lets them go together", main: "window", quantity: TIME, fresh: { window: "30ms", chance: "10%" },
    further: [text("chance", "Chance to begin", "each packet"), whole("packets", "At most packets"), text("bytes", "At most bytes", "64KiB"), choice("then", "Then", ["release", "drop"], "release"), ...SELECTION] },
  { kind: "duplicate", clumsy: "Duplicate", about: "sends copies", main: "chance", quantity: SHARE, fresh: { chance: "10%" },
    further: [whole("copies", "Copies", "1"), text("gap", "Gap between", "0ms"), ...SELECTION] },
  { kind: "reorder", clumsy: "Out of order", about: "lets later packets pass", main: "chance", quantity: SHARE, fresh: { chance: "10%" },
    further: [whole("behind", "Passed by", "1"), text("at_most", "Waits at most", "50ms"), flag("ahead", "Sends ahead instead"), ...SELECTION] },
  { kind: "corrupt", clumsy: "Tamper", about: "flips bits", main: "chance", quantity: SHARE, fresh: { chance: "10%" }, modelled: damage,
    further: [whole("bits", "Bits per packet", "1"), ...SELECTION] },
  { kind: "rate", clumsy: "Bandwidth", about: "lets no more through", main: "limit", quantity: RATE, fresh: { limit: "1Mbit/s" }, each: true,
    further: [text("queue", "Queue: time, bytes or packets", "100ms"), choice("discipline", "Too much that waits loses", ["tail", "head", "codel", "pie", "fq_codel", "dualpi2"], "tail"), text("burst", "Burst", "0B"), whole("overhead", "Overhead per packet, bytes", "0"), ...SELECTION] },
  { kind: "reset", clumsy: "Reset", about: "resets a TCP connection, so long after its first data", main: "after", quantity: TIME, fresh: { after: "1s" }, stream: true,
    further: [text("flows", "Share of connections", "100%")] },
];

export const STREAM_KINDS = ["slice", "stall", "slow_close", "reset", "close_after"];
/** Where a new rule goes: in the order of the command line's shorthands. */
const ORDER = ["drop", "duplicate", "corrupt", "batch", "rate", "delay", "reorder", "reset"];

/** The index of the rule that a row shows: the first of its kind that is for all packets. */
export function ruleIndex(rules, kind) {
  return rules.findIndex((rule) => rule.rule === kind && !rule.match);
}

/** What the slider of a row sets, or undefined where a rule says it otherwise. */
export const mainOf = (row, rule) => rule[row.main] ?? (row.kind === "drop" ? rule.burst?.mean : undefined);

function ruleFor(rules, row) {
  const found = ruleIndex(rules, row.kind);
  if (found >= 0) return rules[found];
  const rule = { rule: row.kind, ...row.fresh };
  const rank = ORDER.indexOf(row.kind);
  const behind = rules.findIndex((one) => ORDER.indexOf(one.rule) > rank);
  rules.splice(behind < 0 ? rules.length : behind, 0, rule);
  return rule;
}

export function switchRow(rules, row, on) {
  if (on || ruleIndex(rules, row.kind) >= 0) setOn(ruleFor(rules, row), on);
}

/** Sets the value of a row and switches it on: who moves it wants to see it work. */
export function setMain(rules, row, value) {
  const rule = ruleFor(rules, row);
  if (rule.burst && row.kind === "drop") rule.burst.mean = value;
  else rule[row.main] = value;
  setOn(rule, true);
}

/** Returns a further setting as text, a truth value, or undefined. */
export function furtherOf(row, rule, setting) {
  if (row.kind === "drop" && setting.field === "length") return rule.burst?.length;
  return rule[setting.field];
}

export function setFurther(rules, row, setting, value) {
  const rule = ruleFor(rules, row);
  if (row.kind === "drop" && setting.field === "length") {
    const share = mainOf(row, rule) ?? row.fresh.chance;
    delete rule.burst, delete rule.chance;
    if (value === undefined) rule.chance = share;
    else rule.burst = { mean: share, length: value };
  } else if (value === undefined) delete rule[setting.field];
  else rule[setting.field] = value;
}

/** Why a kind of rule cannot act on a route, or what it means there; nothing otherwise. */
export function remark(row, proxy) {
  if (row.stream && proxy.protocol === "udp") return { off: true, text: "Only TCP has connections to reset; this route relays UDP." };
  if (proxy.protocol === "udp") return null;
  const note = proxy.tcp === "raw" ? row.raw : row.modelled;
  return note ? { off: false, text: note } : null;
}

export { isOn };
