// One row: a check box, a slider and a field for one function in one direction, and its lamp.
import { complain, content, el, setText } from "./dom.js";
import { edit } from "./edits.js";
import { furtherOf, isOn, mainOf, remark, ruleIndex, setFurther, setMain, switchRow } from "./kinds.js";
import { WAYS, keyOf, other, words } from "./profile.js";
import { nearest } from "./units.js";
import { current, shown, store } from "./store.js";

let gestures = 0;
/** Steps of a slider that follow each other so quickly, in milliseconds, are one change. */
const PAUSE = 800;

/** The directions that a change of one is for. */
export const waysOf = (way) => (store.linked ? [way, other(way)] : [way]);
export const wayWord = (way) => (store.linked ? "both ways" : way);

function change(way, row, label, work, gesture) {
  const proxy = current();
  if (!proxy) return;
  edit(proxy.name, `${row.clumsy} ${wayWord(way)}: ${label}`, (profile) => {
    for (const one of waysOf(way)) work(profile[one]);
  }, gesture);
}

/** Switches the row of a function in both directions, as its key does. */
export function toggleRow(row) {
  const proxy = current();
  if (!proxy || remark(row, proxy)?.off) return;
  const rules = WAYS.map((way) => shown(proxy)[way]);
  const on = !rules.some((list) => isOn(list[ruleIndex(list, row.kind)] ?? { enabled: false }));
  edit(proxy.name, `${row.clumsy} ${on ? "on" : "off"}`, (profile) => {
    for (const way of WAYS) switchRow(profile[way], row, on);
  });
}

export function makeRow(way, row, number) {
  const { scale, write, typed, read } = row.quantity;
  const name = `${row.clumsy}, ${way}`;
  const id = `${way}-${row.kind}`;
  let gesture = null;
  let ended = 0;
  let dragging = false;

  const lamp = el("span", { class: "lamp", "aria-hidden": "true" });
  const hits = el("span", { class: "hits num", title: "packets hit in the last second" });
  const box = el("input", { type: "checkbox", id, "data-row": row.kind, "aria-describedby": `${id}-note` });
  const title = el("label", { for: id, class: "title", title: `${row.about} (key ${number})` },
    el("span", { class: "clumsy" }, row.clumsy), el("code", {}, row.kind), el("span", { class: "sr" }, `, ${way}`));
  const field = el("input", { type: "text", class: "field num", inputmode: "decimal", autocomplete: "off", spellcheck: "false", "aria-label": `${name}: ${row.main}`, placeholder: "as JSON" });
  const slider = el("input", { type: "range", min: 0, max: scale.length - 1, step: 1, "aria-label": `${name}: ${row.main}` });
  const further = el("div", { class: "further", id: `${id}-further`, hidden: true });
  const more = el("button", { type: "button", class: "more", "aria-expanded": "false", "aria-controls": `${id}-further`, "aria-label": `More settings: ${name}` }, "⋯");
  const note = el("p", { class: "note", id: `${id}-note`, hidden: true });
  const element = el("li", { class: "row", "data-kind": row.kind, "data-way": way },
    lamp, box, title, hits, field, more, slider, note, further);

  box.addEventListener("change", () => change(way, row, box.checked ? "on" : "off", (rules) => switchRow(rules, row, box.checked)));

  const set = (value, ofGesture) => change(way, row, write(value), (rules) => setMain(rules, row, write(value)), ofGesture);
  slider.addEventListener("input", () => {
    if (!dragging && Date.now() - ended > PAUSE) gesture = `slide-${(gestures += 1)}`;
    dragging = true;
    set(scale[slider.value], gesture);
  });
  slider.addEventListener("change", () => {
    [ended, dragging] = [Date.now(), false];
  });
  field.addEventListener("change", () => {
    const value = typed(field.value);
    const right = Number.isFinite(value) && (row.main !== "chance" || value <= 1) && (row.kind !== "rate" || value > 0);
    field.setAttribute("aria-invalid", String(!right));
    if (right) {
      content(id);
      field.value = write(value);
      return set(value);
    }
    complain(`${name}: “${field.value}” is no ${row.main}; write ${write(scale[Math.round(scale.length / 2)])}, say`, id);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { field.removeAttribute("aria-invalid"); field.blur(); update(); }
  });

  const inputs = row.further.map((setting) => furtherField(way, row, setting));
  const meaning = el("p", { class: "meaning" });
  further.append(el("p", { class: "about" }, `${row.about[0].toUpperCase()}${row.about.slice(1)}.`), ...inputs.map((one) => one.element), meaning);
  more.addEventListener("click", () => {
    further.hidden = !further.hidden;
    more.setAttribute("aria-expanded", String(!further.hidden));
  });

  function update() {
    const proxy = current();
    if (!proxy) return;
    const rules = shown(proxy)[way];
    const rule = rules[ruleIndex(rules, row.kind)];
    const main = mainOf(row, rule ?? row.fresh);
    const value = main === undefined ? NaN : read(main);
    const told = remark(row, proxy);
    const on = Boolean(rule) && isOn(rule);
    const blocked = Boolean(told?.off);
    box.checked = on;
    box.disabled = blocked;
    element.classList.toggle("on", on);
    element.classList.toggle("blocked", blocked);
    const odd = Boolean(rule) && !Number.isFinite(value);
    slider.disabled = field.disabled = blocked || odd;
    more.disabled = blocked;
    const index = Number.isFinite(value) ? nearest(scale, value) : 0;
    if (!dragging) slider.value = index;
    element.style.setProperty("--fill", `${(100 * slider.value) / (scale.length - 1)}%`);
    const written = odd ? "" : write(value);
    slider.setAttribute("aria-valuetext", odd ? words(rule) : written);
    if (document.activeElement !== field) {
      field.value = written;
      field.removeAttribute("aria-invalid");
    }
    const odds = odd ? `${words(rule)} — set as JSON below.` : null;
    const called = rule?.name ? `Called ${rule.name}.` : null;
    const text = [told?.off || on ? told?.text : null, odds, called].filter(Boolean).join(" ");
    setText(note, text);
    note.hidden = !text;
    setText(meaning, rule ? words(rule) : "");
    for (const input of inputs) input.update(rule);
  }

  /** Lights the lamp for what a second's hits say. */
  function light(second) {
    const proxy = current();
    const rules = proxy ? shown(proxy)[way] : [];
    const index = ruleIndex(rules, row.kind);
    const rule = rules[index];
    // What is done to every packet is chosen by no draw, and so is no hit of its own.
    const passed = row.each && rule && isOn(rule) && rule.flows === undefined && store.rulesOn ? second?.packets_out : 0;
    const number = rule ? second?.hits?.[keyOf(rules, index)] ?? passed ?? 0 : 0;
    element.classList.toggle("hit", number > 0);
    setText(hits, number > 0 ? `${number > 9999 ? `${Math.round(number / 1000)}k` : number}/s` : "");
  }

  return { element, update, light };
}

function furtherField(way, row, setting) {
  const id = `${way}-${row.kind}-${setting.field}`;
  const label = el("label", { for: id }, setting.label);
  const attributes = { id };
  let input;
  if (setting.options) input = el("select", attributes, ...setting.options.map((option) => el("option", { value: option }, option)));
  else if (setting.flag) input = el("input", { ...attributes, type: "checkbox" });
  else input = el("input", { ...attributes, type: "text", class: "num", placeholder: setting.hint, autocomplete: "off", spellcheck: "false" });

  const value = () => {
    if (setting.flag) return input.checked ? true : undefined;
    if (setting.options) return input.value === setting.unless ? undefined : input.value;
    const text = input.value.trim();
    const number = /^\d+(\.\d+)?$/.test(text) && (setting.whole || setting.field === "length");
    return text === "" ? undefined : number ? Number(text) : text;
  };
  input.addEventListener("change", () => {
    const now = value();
    change(way, row, `${setting.label.toLowerCase()} ${now === undefined ? "as usual" : now}`, (rules) => setFurther(rules, row, setting, now));
  });
  const update = (rule) => {
    if (document.activeElement === input && !setting.flag) return;
    const now = rule && furtherOf(row, rule, setting);
    if (setting.flag) input.checked = Boolean(now);
    else if (setting.options) input.value = setting.options.includes(now) ? now : setting.unless;
    else input.value = now === undefined ? "" : typeof now === "object" ? JSON.stringify(now) : now;
  };
  return { element: el("div", { class: setting.flag ? "setting flag" : "setting" }, ...(setting.flag ? [input, label] : [label, input])), update };
}
