// Puts the page together.
import { byId, setText } from "./dom.js";
import { next } from "./edits.js";
import { connect } from "./live.js";
import { on, store } from "./store.js";
import "./rules.js";
import "./charts.js";
import "./tabs.js";
import "./flows.js";
import "./feed.js";
import "./keys.js";

on("state", () => {
  const button = byId("rules-on");
  button.setAttribute("aria-checked", String(store.rulesOn));
  setText(byId("rules-word"), store.rulesOn ? "Rules on" : "Rules off");
  document.body.classList.toggle("stopped", !store.rulesOn);
  setText(byId("about-run"), [`jostle ${store.version}`, store.seed == null ? null : `seed ${store.seed}`].filter(Boolean).join(" · "));
});

on("undo", () => {
  const { undo, redo } = next();
  for (const [id, label, word] of [["undo", undo, "Undo"], ["redo", redo, "Redo"]]) {
    byId(id).disabled = !label;
    byId(id).title = label ? `${word}: ${label}` : `Nothing to ${word.toLowerCase()}`;
  }
});

connect();
