// The feed of events: what became of packets, as it happens, filtered by the proxy and here.
import { byId, el, setText } from "./dom.js";
import { millis } from "./units.js";
import { current, on, store } from "./store.js";

const ROWS_MAX = 200;
/** More in a second than anybody reads: from there on only a part is asked for. */
const EVENTS_MAX = 400;
const DRAW = 250;
const RETRY = 5000;

let source = null;
let every = 1;
let waiting = [];
let inSecond = 0;
let passed = 0;
let refused = false;

const body = byId("feed-rows");
const [fate, way, rule, pause, section] = ["feed-fate", "feed-way", "feed-rule", "feed-pause", "feed"].map(byId);
const paused = () => pause.getAttribute("aria-pressed") === "true";

function open() {
  source?.close();
  source = null;
  const proxy = current();
  // Who does not look costs nothing.
  if (paused() || !section.open || !proxy || document.hidden) return note();
  const query = new URLSearchParams({ route: proxy.name });
  if (way.value) query.set("direction", way.value);
  if (fate.value) query.set("fate", fate.value);
  if (every > 1) query.set("every", every);
  source = new EventSource(`/events?${query}`);
  refused = false;
  source.onmessage = (event) => take(JSON.parse(event.data));
  source.onerror = (event) => {
    // Only so many may read events at once; the browser does not say what it was answered.
    refused = event.target.readyState === EventSource.CLOSED && event.target === source;
    note();
  };
  source.addEventListener("lost", (event) => {
    const told = JSON.parse(event.data);
    passed += told.lost;
  });
  note();
}

function take(event) {
  inSecond += 1;
  const word = rule.value.trim();
  if (word && event.reason !== word && !(event.rules ?? []).includes(word)) return;
  waiting.push(event);
  if (waiting.length > ROWS_MAX) passed += waiting.splice(0, waiting.length - ROWS_MAX).length;
}

function row(event) {
  const arrived = event.marked ? "delivered, marked CE" : event.fate;
  const what = event.fate === "discarded" ? `lost: ${event.reason ?? "?"}` : event.flipped_bits > 0 ? `damaged, ${event.flipped_bits} bits` : arrived;
  const cells = [event.t.toFixed(3), event.direction, event.copy > 0 ? `${event.packet}+${event.copy}` : event.packet, event.flow, `${event.size} B`, what, (event.rules ?? []).join(", "), event.delay == null ? "" : millis(event.delay * 1000)];
  return el("tr", { class: event.fate === "discarded" ? "lost" : event.flipped_bits > 0 ? "damaged" : "", "data-way": event.direction },
    ...cells.map((cell) => el("td", {}, String(cell))));
}

function note() {
  const thin = every > 1 ? ` One packet in ${every} is shown: there are too many to read.` : "";
  const missed = passed > 0 ? ` ${passed.toLocaleString("en")} went by unseen.` : "";
  const first = refused ? "The proxy tells no more of events now; it is asked again." : "The newest first.";
  setText(byId("feed-note"), paused() ? "Paused." : `${first}${thin}${missed}`);
}

setInterval(() => {
  if (waiting.length === 0) return;
  body.prepend(...waiting.splice(0).reverse().map(row));
  while (body.childElementCount > ROWS_MAX) body.lastElementChild.remove();
  byId("feed-none").hidden = true;
  note();
}, DRAW);

setInterval(() => {
  if (inSecond > EVENTS_MAX && every < 1000) {
    every *= 10;
    open();
  }
  inSecond = 0;
}, 1000);

setInterval(() => refused && open(), RETRY);

function again() {
  every = 1;
  passed = 0;
  waiting = [];
  body.replaceChildren();
  byId("feed-none").hidden = false;
  open();
}

for (const input of [fate, way, rule]) input.addEventListener("change", again);
pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!paused()));
  setText(pause, paused() ? "Go on" : "Pause");
  open();
});
section.addEventListener("toggle", open);
document.addEventListener("visibilitychange", open);
on("selection", again);
on("connection", () => {
  // After a break the browser does not always try again by itself.
  if (store.online && source?.readyState !== EventSource.OPEN) open();
});

