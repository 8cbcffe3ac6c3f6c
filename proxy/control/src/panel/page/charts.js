// What happens, each second, for the last minute or ten: five small charts of the open tab.
import { byId, el, setText } from "./dom.js";
import { bits, count, millis, percent } from "./units.js";
import { SECONDS_MAX, current, on, remember, store } from "./store.js";

const sum = (counts) => Object.values(counts ?? {}).reduce((total, one) => total + one, 0);

/** The share of what came in, copies included, that was discarded; nothing of nothing. */
export function loss(way) {
  const came = way.packets_in + (way.copies ?? 0);
  return came > 0 ? Math.min(1, sum(way.discarded) / came) : null;
}

/** Bits per second of what came, or went, in a span that need not be a second. */
const rate = (field) => (way, span) => (way[field] * 8) / span;

const line = (label, way, of, dash) => ({ label, way, of, dash });
const CHARTS = [
  { id: "rate", title: "Rate", write: bits, least: 1000, lines: [
    line("up in", "up", rate("bytes_in"), true), line("up out", "up", rate("bytes_out")),
    line("down in", "down", rate("bytes_in"), true), line("down out", "down", rate("bytes_out"))] },
  { id: "loss", title: "Loss", write: percent, least: 0.01, most: 1, lines: [line("up", "up", loss), line("down", "down", loss)] },
  { id: "delay", title: "Delay as applied", write: millis, least: 1, lines: [
    line("up p50", "up", (way) => way.delay_ms?.p50 ?? null), line("up p99", "up", (way) => way.delay_ms?.p99 ?? null, true),
    line("down p50", "down", (way) => way.delay_ms?.p50 ?? null), line("down p99", "down", (way) => way.delay_ms?.p99 ?? null, true)] },
  { id: "queue", title: "Packets held", write: count, least: 5, lines: [line("up", "up", (way) => way.held), line("down", "down", (way) => way.held)] },
  { id: "flows", title: "Flows and connections", write: count, least: 5, lines: [
    line("flows", null, (proxy) => proxy.flows), line("connections", null, (proxy) => proxy.connections, true)] },
];

/** The columns of a chart: seconds before now, and one per line. */
export function series(id, name = store.selected) {
  const chart = CHARTS.find((one) => one.id === id);
  const now = store.history.at(-1)?.t ?? 0;
  const span = store.minutes * 60;
  const first = store.history.findIndex((second) => second.t > now - span - 0.5);
  const seconds = store.history.slice(Math.max(first, 0));
  const value = ({ way, of }, second, index) => {
    const proxy = second.proxies?.[name];
    const from = way ? proxy?.[way] : proxy;
    return from ? of(from, spanOf(seconds, index)) ?? null : null;
  };
  return [seconds.map((second) => second.t - now), ...chart.lines.map((one) => seconds.map((second, index) => value(one, second, index)))];
}

/** How long a second of the history was: the first one after a pause is longer. */
const spanOf = (seconds, index) => (index > 0 ? Math.max(0.1, seconds[index].t - seconds[index - 1].t) : 1);

/** How long the last one was. */
export const lastSpan = () => spanOf(store.history, store.history.length - 1);

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const tone = (one) => (one.way === "up" ? "--up" : one.way === "down" ? "--down" : "--ink");
const plots = [];

const ago = (value) => (value === 0 ? "now" : value % 60 === 0 ? `${value / 60} min` : `${value} s`).replace("-", "−");

function options(chart, width, height) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif", gap: 3 };
  const span = store.minutes * 60;
  return {
    width, height, padding: [8, 14, 0, 0], legend: { show: false }, pxAlign: 1,
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 }, sync: { key: "panel" } },
    scales: {
      x: { time: false, range: [-span, 0] },
      y: { range: (_, least, most) => [0, Math.min(chart.most ?? Infinity, Math.max(chart.least ?? 1, (most ?? 0) * 1.15))] },
    },
    axes: [
      { ...axis, size: 24, gap: 7, splits: () => (width < 330 ? [-span, -span / 2, 0] : [-span, -span * 0.8, -span * 0.6, -span * 0.4, -span * 0.2, 0]), values: (_, splits) => splits.map((one) => ago(Math.round(one))) },
      { ...axis, size: 62, space: 26, values: (_, splits) => splits.map((one) => (one === 0 ? "0" : chart.write(one))) },
    ],
    series: [{}, ...chart.lines.map((one) => ({
      label: one.label, stroke: color(tone(one)), width: one.dash ? 1 : 1.75, dash: one.dash ? [4, 3] : undefined, spanGaps: false, points: { show: false },
    }))],
    hooks: { setCursor: [(plot) => read(chart, plot.cursor.idx)] },
  };
}

/** Writes the values beside the names of the lines: those under the cursor, or the last ones. */
function read(chart, index) {
  const data = chart.data ?? [[]];
  const at = index ?? data[0].length - 1;
  chart.lines.forEach((one, number) => setText(chart.outputs[number], at < 0 ? "–" : chart.write(data[number + 1][at])));
  setText(chart.when, index == null || at < 0 ? "" : ago(Math.round(data[0][at])));
}

for (const chart of CHARTS) {
  chart.outputs = chart.lines.map(() => el("b", { class: "num" }, "–"));
  chart.when = el("span", { class: "when" });
  chart.box = el("div", { class: "plot", role: "img", "aria-label": `${chart.title}: a chart of the last minutes; the values of now stand above it` });
  const keys = chart.lines.map((one, number) => el("span", { class: `key ${one.way ?? "all"}${one.dash ? " dash" : ""}` }, el("i", { "aria-hidden": "true" }), `${one.label} `, chart.outputs[number]));
  byId("charts").append(el("figure", { class: "chart", id: `chart-${chart.id}` },
    el("figcaption", {}, el("h3", {}, chart.title), chart.when, el("div", { class: "keys" }, ...keys)), chart.box));
}

function build() {
  for (const plot of plots.splice(0)) plot.destroy();
  for (const chart of CHARTS) {
    chart.data = series(chart.id);
    const plot = new uPlot(options(chart, chart.box.clientWidth, chart.box.clientHeight), chart.data, chart.box);
    plots.push(plot);
    read(chart, null);
  }
}

function draw() {
  if (document.hidden || plots.length === 0) return;
  CHARTS.forEach((chart, index) => {
    chart.data = series(chart.id);
    plots[index].setData(chart.data);
    read(chart, plots[index].cursor.left >= 0 ? plots[index].cursor.idx : null);
  });
}

for (const button of document.querySelectorAll("[data-minutes]")) {
  const mark = () => button.setAttribute("aria-pressed", String(Number(button.dataset.minutes) === store.minutes));
  button.addEventListener("click", () => {
    remember("minutes", Number(button.dataset.minutes));
    build();
    document.querySelectorAll("[data-minutes]").forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
  });
  mark();
}

if (!(store.minutes * 60 <= SECONDS_MAX && store.minutes > 0)) remember("minutes", 1);
new ResizeObserver(() => build()).observe(byId("charts"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", build);
document.addEventListener("visibilitychange", draw);
on("second", draw);
on("selection", draw);
on("state", () => {
  byId("live").hidden = !current();
});
