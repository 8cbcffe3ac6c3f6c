// The flows and connections of the open tab, each with its own counters.
import { ask, path } from "./api.js";
import { byId, el, fill, setText } from "./dom.js";
import { act } from "./edits.js";
import { bytes, count, millis, seconds } from "./units.js";
import { current, on, store } from "./store.js";

const PERIOD = 2000;
/** The most that are asked for: nobody reads more, and a proxy may have thousands. */
const ROWS_MAX = 200;
const section = byId("flows");
let asking = false;

async function look() {
  const proxy = current();
  if (asking || !proxy || proxy.leaving || !section.open || document.hidden || !store.online) return;
  asking = true;
  try {
    const { value } = await ask("GET", `${path(proxy.name, "flows")}?limit=${ROWS_MAX}`);
    if (proxy === current()) draw(proxy, value.flows ?? [], value.next);
  } catch (error) {
    setText(byId("flows-note"), `Not known: ${error.message}`);
  } finally {
    asking = false;
  }
}

function draw(proxy, flows, next) {
  const open = next == null ? `${count(flows.length)} open, the newest first.` : `The ${count(flows.length)} oldest are shown; there are more.`;
  setText(byId("flows-note"), flows.length ? open : "Nobody is connected.");
  fill(byId("flow-rows"), flows.reverse().map((flow) => row(proxy, flow)));
}

const way = (counts) => (counts ? parts([`${count(counts.packets)} ·`, `${bytes(counts.bytes)}${counts.discarded ? " ·" : ""}`, counts.discarded ? `${count(counts.discarded)} lost` : ""]) : ["–"]);
/** Pieces between which a line of a narrow table may end. */
const parts = (texts) => texts.filter(Boolean).flatMap((text, place) => [place ? " " : "", el("span", { class: "part" }, text)]);

function row(proxy, flow) {
  const name = `${flow.protocol} ${flow.client}${flow.target == null ? "" : ` → ${flow.target}`}`;
  // On a route of both, a number may mean one of either.
  const where = (...parts) => `${path(proxy.name, "flows", flow.id, ...parts)}?protocol=${flow.protocol}`;
  const close = el("button", { type: "button", "data-key": `close-${flow.id}`, "aria-label": `Close ${name}`, onclick: () => end(`${name} closed`, "DELETE", where()) }, "Close");
  const reset = flow.protocol === "tcp" ? el("button", { type: "button", class: "danger", "data-key": `reset-${flow.id}`, "aria-label": `Reset ${name}`, onclick: () => end(`${name} reset`, "POST", where("reset")) }, "Reset") : null;
  const cells = [parts([seconds(flow.age_s)]), parts([seconds(flow.idle_s)]), way(flow.up), way(flow.down), parts([flow.rtt_ms == null ? "–" : millis(flow.rtt_ms)])];
  const client = parts([flow.protocol, flow.client]);
  return el("tr", {}, el("td", {}, String(flow.id)), el("td", {}, ...client), el("td", { class: "buttons" }, close, reset), ...cells.map((cell) => el("td", {}, ...cell)));
}

async function end(label, method, where) {
  await act(label, () => ask(method, where, method === "POST" ? {} : undefined));
  look();
}

setInterval(look, PERIOD);
section.addEventListener("toggle", look);
on("selection", () => {
  byId("flow-rows").replaceChildren();
  setText(byId("flows-note"), "");
  look();
});
on("connection", look);
