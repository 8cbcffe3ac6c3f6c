// The stream of states and seconds, and what is done when it breaks.
import { byId, setText } from "./dom.js";
import { on, store, takeSeconds, takeState, tell } from "./store.js";

/** A second comes each second; after so long without one something is wrong. */
const SILENCE_MAX = 5000;
const RETRY = 1500;

let source = null;
let heard = 0;
let lostAt = null;

function connect() {
  source?.close();
  source = new EventSource("/live");
  heard = Date.now();
  const hear = (name, take) => source.addEventListener(name, (event) => {
    heard = Date.now();
    if (!store.online) setOnline(true);
    take(JSON.parse(event.data));
  });
  hear("state", takeState);
  hear("history", (seconds) => takeSeconds(seconds, true));
  hear("second", (second) => takeSeconds([second], false));
  // The browser tries again by itself after a break, but not after an answer that it did not expect.
  source.addEventListener("error", () => setOnline(false));
}

function setOnline(online) {
  if (!online && store.online) lostAt = new Date();
  const changed = online !== store.online;
  store.online = online;
  if (changed || !online) tell("connection");
}

// A browser has six connections to a host, for all of its tabs: one that nobody looks at needs none.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) source.close();
  else if (source.readyState === EventSource.CLOSED) connect();
});

setInterval(() => {
  if (document.hidden) return;
  const silent = Date.now() - heard > SILENCE_MAX;
  if (silent) setOnline(false);
  // What the answer was that ended it, the browser does not say.
  if (source.readyState === EventSource.CLOSED || silent) connect();
}, RETRY);

on("connection", () => {
  document.body.classList.toggle("offline", !store.online);
  setText(byId("link-state"), store.online ? "live" : "not connected");
  const since = lostAt ? ` since ${lostAt.toLocaleTimeString()}` : "";
  const text = store.online ? "" : `No connection to the proxy${since}. What you see is what it said last; it is tried again.`;
  setText(byId("lost"), text);
  byId("lost").hidden = store.online;
});

export { connect };
