// The rules of the open tab: the rows of either direction, all that has no row, and the profile as JSON.
import { byId, complain, el, fill, setText } from "./dom.js";
import { edit } from "./edits.js";
import { ROWS, STREAM_KINDS, isOn, ruleIndex } from "./kinds.js";
import { WAYS, canonical, clone, compact, expand, keyOf, laidOut, setOn, words } from "./profile.js";
import { makeRow } from "./row.js";
import { current, on, remember, shown, store } from "./store.js";

const rows = WAYS.flatMap((way) => ROWS.map((row, index) => ({ way, ...makeRow(way, row, index + 1) })));
for (const { way, element } of rows) byId(`rows-${way}`).append(element);

/** Where a rule of a profile stands: in a direction, or in a list of a phase. */
const listAt = (profile, place) => (place.phase === undefined ? profile[place.list] : profile.phases[place.phase][place.list] ?? []);

/** All rules without a row, with their places. */
function further(profile) {
  const found = [];
  for (const way of WAYS) {
    const onRows = new Set(ROWS.map((row) => ruleIndex(profile[way], row.kind)));
    profile[way].forEach((rule, index) => {
      if (!onRows.has(index)) found.push({ list: way, index, rule, key: keyOf(profile[way], index), where: way });
    });
  }
  (profile.phases ?? []).forEach((phase, number) => {
    const span = phase.for ? ` for ${phase.for}` : "";
    for (const list of ["both", ...WAYS]) {
      (phase[list] ?? []).forEach((rule, index) => {
        found.push({ phase: number, list, index, rule, key: rule.name ?? rule.rule, where: `phase ${number + 1}${span}, ${list}` });
      });
    }
  });
  return found;
}

function change(label, work) {
  const proxy = current();
  if (proxy) edit(proxy.name, label, work);
}

const openEditors = new Set();

function furtherItem(found, proxy) {
  const id = `rule-${found.phase ?? "all"}-${found.list}-${found.index}`;
  const { rule, key, where } = found;
  const ofStreams = STREAM_KINDS.includes(rule.rule) && proxy.protocol === "udp";
  const box = el("input", { type: "checkbox", id, "data-key": id });
  box.checked = isOn(rule);
  box.addEventListener("change", () => change(`${key} ${box.checked ? "on" : "off"}`, (profile) => setOn(listAt(profile, found)[found.index], box.checked)));
  const text = el("textarea", { rows: 3, spellcheck: "false", "aria-label": `${key} as JSON`, "data-key": `${id}-text` });
  text.value = laidOut(rule, " ");
  const apply = el("button", { type: "button", onclick: () => {
    const value = parsed(text.value);
    if (value) {
      openEditors.delete(id);
      change(`${key} set`, (profile) => { listAt(profile, found)[found.index] = value; });
    }
  } }, "Apply");
  const remove = el("button", { type: "button", "data-key": `${id}-remove`, onclick: () => change(`${key} removed`, (profile) => listAt(profile, found).splice(found.index, 1)) }, "Remove");
  const editor = el("details", { class: "editor" }, el("summary", { "aria-label": `Edit ${key}`, "data-key": `${id}-edit` }, "edit"), text, el("div", { class: "buttons" }, apply, remove));
  editor.open = openEditors.has(id);
  editor.addEventListener("toggle", () => (editor.open ? openEditors.add(id) : openEditors.delete(id)));
  const item = el("li", { class: `rule${isOn(rule) ? " on" : ""}`, "data-way": found.list, "data-rule": key },
    el("span", { class: "lamp", "aria-hidden": "true" }), box,
    el("label", { for: id }, el("code", {}, key), el("span", { class: "words" }, ` ${words(rule)}`), ofStreams ? el("span", { class: "words" }, " — acts on TCP only") : null),
    el("span", { class: "tag" }, where), editor);
  return item;
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    if (value && typeof value === "object" && !Array.isArray(value)) return value;
    complain("A rule, and a profile, is an object: { … }.");
  } catch (error) {
    complain(`This is no JSON: ${error.message}`);
  }
  return null;
}

let drawn = null;

function drawFurther(proxy, profile) {
  const found = further(profile);
  const signature = canonical([proxy.name, found]);
  // Somebody may be typing in one of them.
  if (signature === drawn) return;
  drawn = signature;
  fill(byId("further-rules"), found.map((one) => furtherItem(one, proxy)));
  byId("no-further").hidden = found.length > 0;
}

const json = byId("profile-json");
const jsonChanged = () => json.dataset.shown !== undefined && json.value !== json.dataset.shown;

function drawJson(profile) {
  const text = laidOut(compact(profile));
  if (jsonChanged()) return;
  json.value = json.dataset.shown = text;
}

byId("profile-apply").addEventListener("click", () => {
  const value = parsed(json.value);
  if (!value) return;
  delete json.dataset.shown;
  change("profile set", (profile) => replace(profile, value));
});
byId("profile-revert").addEventListener("click", () => {
  delete json.dataset.shown;
  draw();
});

/** Puts another profile in the place of one. */
export function replace(profile, value) {
  for (const field of Object.keys(profile)) delete profile[field];
  Object.assign(profile, expand(value));
}

const KINDS = ["outage", "size", "mark", "rebind", "slice", "stall", "slow_close", "close_after", "drop", "delay", "rate"];
const FRESH = {
  outage: { up: "10s", down: "500ms" }, size: { max: "1200B" }, mark: { chance: "10%" }, rebind: { every: "30s" }, slice: { size: "100B", gap: "1ms" }, stall: { after: "10kB" }, slow_close: { delay: "1s" },
  close_after: { bytes: "100kB" }, drop: { every: 10 }, delay: { time: "20ms" }, rate: { limit: "10Mbit/s" },
};
byId("new-kind").append(...KINDS.map((kind) => el("option", { value: kind }, kind)));
byId("new-rule").addEventListener("click", () => {
  const [kind, way] = [byId("new-kind").value, byId("new-way").value];
  change(`${kind} added`, (profile) => {
    // A flow has one socket to the upstream.
    const ways = kind === "rebind" ? ["up"] : way === "both" ? WAYS : [way];
    for (const one of ways) profile[one].push({ rule: kind, ...clone(FRESH[kind]) });
  });
});

const link = byId("linked");
link.checked = store.linked;
link.addEventListener("change", () => {
  remember("linked", link.checked);
  draw();
});

export function draw() {
  const proxy = current();
  if (!proxy) return;
  const profile = shown(proxy);
  link.checked = store.linked;
  document.body.classList.toggle("linked", store.linked);
  for (const row of rows) row.update();
  drawFurther(proxy, profile);
  drawJson(profile);
  setText(byId("about"), profile.about ?? "");
  byId("about").hidden = !profile.about;
}

function light() {
  const proxy = current();
  const second = store.history.at(-1)?.proxies?.[proxy?.name];
  for (const row of rows) row.light(second?.[row.way]);
  for (const item of byId("further-rules").children) {
    const key = item.dataset.rule;
    const ways = item.dataset.way === "both" ? WAYS : [item.dataset.way];
    item.classList.toggle("hit", ways.some((way) => second?.[way]?.hits?.[key] > 0));
  }
}

on("state", draw);
on("second", light);
on("selection", () => {
  delete json.dataset.shown;
  openEditors.clear();
  draw();
  light();
});
