// A profile as the panel holds it: the rules of either direction in one list each. No page, no network.

export const WAYS = ["up", "down"];
export const other = (way) => (way === "up" ? "down" : "up");
export const clone = (value) => structuredClone(value);

/** Text that is equal for equal values, whatever the order of their keys. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value && typeof value === "object") {
    const fields = Object.keys(value).filter((key) => value[key] !== undefined).sort();
    return `{${fields.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join()}}`;
  }
  return JSON.stringify(value) ?? "null";
}

export const same = (one, two) => canonical(one) === canonical(two);

/** Puts the rules of `both` in front of each direction's own, where they act. */
export function expand(profile) {
  const { both = [], up = [], down = [], ...rest } = clone(profile ?? {});
  return { ...rest, up: [...clone(both), ...up], down: [...both, ...down] };
}

/** The profile as it is written: what begins both directions alike stands in `both`. */
export function compact({ about, up, down, ...rest }) {
  let front = 0;
  while (front < up.length && front < down.length && same(up[front], down[front])) front += 1;
  const lists = { both: up.slice(0, front), up: up.slice(front), down: down.slice(front) };
  const filled = Object.fromEntries(Object.entries(lists).filter(([, rules]) => rules.length));
  return clone({ ...(about ? { about } : {}), ...filled, ...rest });
}

/** Who a rule is in draws, counters and events: its name, or its kind and ordinal. */
export function keyOf(rules, index) {
  const rule = rules[index];
  const ordinal = rules.slice(0, index).filter((one) => one.rule === rule.rule).length;
  return rule.name ?? (ordinal === 0 ? rule.rule : `${rule.rule}#${ordinal + 1}`);
}

export const isOn = (rule) => rule.enabled !== false;

export function setOn(rule, on) {
  if (on) delete rule.enabled;
  else rule.enabled = false;
}

/** JSON as a person lays it out: what fits stands on one line. */
export function laidOut(value, indent = "") {
  if (!value || typeof value !== "object") return JSON.stringify(value);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const parts = Object.entries(value).filter(([, one]) => one !== undefined)
    .map(([name, one]) => `${Array.isArray(value) ? "" : `${JSON.stringify(name)}: `}${laidOut(one, `${indent}  `)}`);
  const line = parts.length ? `${open} ${parts.join(", ")} ${close}` : open + close;
  if (indent && line.length + indent.length <= 92 && !line.includes("\n")) return line;
  return `${open}\n${parts.map((part) => `${indent}  ${part}`).join(",\n")}\n${indent}${close}`;
}

/** Says in a few words what a rule is set to. */
export function words(rule) {
  const word = (value) => {
    if (Array.isArray(value)) return value.length > 4 ? `${value.length} values` : `[${value.map(word).join(", ")}]`;
    if (value && typeof value === "object") return `(${Object.entries(value).map(([name, one]) => `${name} ${word(one)}`).join(", ")})`;
    return String(value);
  };
  const fields = Object.entries(rule).filter(([name]) => !["rule", "name", "enabled"].includes(name));
  return fields.map(([name, value]) => `${name.replaceAll("_", " ")} ${word(value)}`).join(", ");
}

/** Carries the change that leads `from` one profile `to` another over to a third, rule by rule. */
export function merge(current, from, to) {
  const merged = clone(current);
  for (const field of new Set([...Object.keys(from), ...Object.keys(to)])) {
    if (WAYS.includes(field) || same(from[field], to[field])) continue;
    if (to[field] === undefined) delete merged[field];
    else merged[field] = clone(to[field]);
  }
  for (const way of WAYS) merged[way] = mergeRules(current[way], from[way], to[way]);
  return merged;
}

function mergeRules(current, from, to) {
  const keyed = (rules) => new Map(rules.map((rule, index) => [keyOf(rules, index), rule]));
  const [before, after] = [keyed(from), keyed(to)];
  const result = current.map((rule, index) => ({ key: keyOf(current, index), rule: clone(rule) }));
  for (const key of before.keys()) {
    if (!after.has(key)) result.splice(0, result.length, ...result.filter((one) => one.key !== key));
  }
  let last = -1;
  for (const [key, rule] of after) {
    const place = result.findIndex((one) => one.key === key);
    if (place >= 0 && !same(before.get(key), rule)) result[place].rule = clone(rule);
    if (place < 0 && !same(before.get(key), rule)) result.splice((last += 1), 0, { key, rule: clone(rule) });
    else if (place >= 0) last = place;
  }
  return result.map((one) => one.rule);
}
