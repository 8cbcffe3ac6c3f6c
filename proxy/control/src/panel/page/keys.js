// The keyboard: each thing that is done often has a key.
import { byId } from "./dom.js";
import { redo, switchRules, undo } from "./edits.js";
import { ROWS } from "./kinds.js";
import { copy } from "./copy.js";
import { move } from "./tabs.js";
import { openPresets } from "./presets.js";
import { toggleRow } from "./row.js";
import { remember, store } from "./store.js";

const KEYS = {
  s: () => switchRules(!store.rulesOn),
  p: openPresets,
  l: () => byId("linked").click(),
  c: () => copy("command"),
  u: undo,
  "[": () => move(-1),
  "]": () => move(1),
  "?": () => byId("keys").showModal(),
};
ROWS.forEach((row, index) => { KEYS[index + 1] = () => toggleRow(row); });

// Who dictates to a computer may not want single letters to do things.
const single = byId("single-keys");
single.checked = store.singleKeys;
single.addEventListener("change", () => remember("singleKeys", single.checked));

const isText = (element) => element.matches("textarea, select, input:not([type=checkbox], [type=range])");

addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  const typing = isText(event.target);
  if ((event.ctrlKey || event.metaKey) && !event.altKey && (key === "z" || key === "y")) {
    // What is being typed is the browser's to undo.
    if (typing && event.target.value !== event.target.defaultValue && event.target.tagName === "TEXTAREA") return;
    event.preventDefault();
    if (typing) event.target.blur();
    return key === "y" || event.shiftKey ? redo() : undo();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing || !store.singleKeys) return;
  if (document.querySelector("dialog[open]")) return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});

for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
byId("open-keys").addEventListener("click", () => byId("keys").showModal());
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
byId("rules-on").addEventListener("click", () => switchRules(!store.rulesOn));
