// Routes as tabs, the head of the open one, and proxies that are added and removed.
import { ask, path } from "./api.js";
import { bits, percent } from "./units.js";
import { byId, el, fill, setText } from "./dom.js";
import { act, switchProxy } from "./edits.js";
import { current, on, select, store } from "./store.js";
import { lastSpan, loss } from "./charts.js";

const list = byId("tabs");
let drawn = "";

function draw() {
  const names = [...store.proxies.keys()];
  const signature = JSON.stringify(names);
  if (signature !== drawn) {
    drawn = signature;
    fill(list, names.map(tab));
  }
  for (const button of list.children) {
    const proxy = store.proxies.get(button.dataset.key);
    const open = button.dataset.key === store.selected;
    button.setAttribute("aria-selected", String(open));
    button.tabIndex = open ? 0 : -1;
    button.classList.toggle("disabled", !proxy?.enabled);
  }
  const proxy = current();
  byId("route").hidden = !proxy;
  byId("no-routes").hidden = Boolean(proxy) || !store.version;
  if (!proxy) return;
  setText(byId("route-name"), proxy.name);
  setText(byId("route-listen"), `${proxy.protocol}://${proxy.listen}`);
  setText(byId("route-upstream"), leadsTo(proxy));
  setText(byId("route-kind"), kind(proxy));
  byId("route-enabled").checked = proxy.enabled;
  setText(byId("route-state"), proxy.enabled ? "listens" : "closed");
}

/** Its upstream, or what its clients may ask for. */
function leadsTo({ upstream, target }) {
  if (target == null) return upstream;
  return Array.isArray(target) ? target.join(", ") : "any target";
}

function kind({ protocol, tcp, unit }) {
  if (protocol === "udp" || !tcp) return "UDP";
  const meaning = tcp === "raw" ? `raw${unit ? `, by ${unit}` : ""}` : `modelled, ${tcp}`;
  const relayed = { both: "UDP and TCP", socks5: "SOCKS5", "http-proxy": "HTTP proxy" }[protocol] ?? "TCP";
  return `${relayed} (${meaning})`;
}

function tab(name) {
  return el("button", { type: "button", role: "tab", class: "tab", "data-key": name, title: name, "aria-controls": "route", onclick: () => select(name) },
    el("span", { class: "lamp", "aria-hidden": "true" }), el("span", { class: "name" }, name), el("span", { class: "num figures", "aria-hidden": "true" }));
}

/** What passes and what is lost, in each tab. */
function figures() {
  const second = store.history.at(-1)?.proxies ?? {};
  for (const button of list.children) {
    const told = second[button.dataset.key];
    const [up, down] = [told?.up, told?.down];
    const passes = up && up.packets_in + down.packets_in > 0;
    button.classList.toggle("hit", Boolean(passes));
    const lost = passes ? Math.max(loss(up) ?? 0, loss(down) ?? 0) : 0;
    setText(button.lastElementChild, passes ? `${bits(((up.bytes_out + down.bytes_out) * 8) / lastSpan())}${lost > 0 ? ` −${percent(lost)}` : ""}` : "");
  }
}

list.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
  if (step) { event.preventDefault(); move(step, true); }
});

/** Opens the tab that is so many further on. */
export function move(step, focus) {
  const names = [...store.proxies.keys()];
  if (!names.length) return;
  const at = names.indexOf(store.selected);
  const to = Math.abs(step) === 1 ? (at + step + names.length) % names.length : step < 0 ? 0 : names.length - 1;
  select(names[to]);
  if (focus) list.children[to]?.focus();
}

byId("route-enabled").addEventListener("change", (event) => switchProxy(store.selected, event.target.checked));

const adding = byId("adding");
byId("add").addEventListener("click", () => adding.showModal());
const tcp = byId("add-tcp");
/** Clients of these say where they want to go. */
const ASKED = ["socks5", "http-proxy"];
const way = byId("add-upstream");
byId("add-protocol").addEventListener("change", (event) => {
  tcp.disabled = event.target.value === "udp";
  const asked = ASKED.includes(event.target.value);
  way.required = !asked;
  way.placeholder = asked ? "any target" : "127.0.0.1:80";
});
byId("add-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [name, listen, upstream, protocol] = ["name", "listen", "upstream", "protocol"].map((field) => byId(`add-${field}`).value.trim());
  const mode = protocol === "udp" ? {} : { tcp: tcp.value };
  const targets = upstream.split(",").map((one) => one.trim()).filter(Boolean);
  const where = !ASKED.includes(protocol) ? { upstream } : targets.length ? { target: targets } : {};
  try {
    await ask("POST", "/proxies", { name, listen, ...where, protocol, ...mode });
    adding.close();
    byId("add-form").reset();
    way.required = true;
    wanted = name;
    open();
  } catch (error) {
    setText(byId("add-trouble"), error.message);
  }
});
adding.addEventListener("close", () => setText(byId("add-trouble"), ""));

let wanted = null;

/** Opens the tab of what was just added, when it is known. */
function open() {
  if (!wanted || !store.proxies.has(wanted)) return;
  select(wanted);
  wanted = null;
}

const removing = byId("removing");
byId("remove").addEventListener("click", () => {
  setText(byId("remove-name"), store.selected);
  removing.showModal();
});
byId("remove-sure").addEventListener("click", () => {
  const name = store.selected;
  const proxy = current();
  removing.close();
  // Nobody asks any more of what may be gone already.
  proxy.leaving = true;
  act(`${name} removed`, () => ask("DELETE", path(name)).finally(() => { proxy.leaving = false; }));
});

on("state", () => { draw(); open(); });
on("selection", () => { draw(); list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); });
on("second", figures);
