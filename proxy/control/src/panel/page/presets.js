// The built-in networks, searched by name, by what they are and by their numbers.
import { ask } from "./api.js";
import { byId, complain, el, setText } from "./dom.js";
import { edit } from "./edits.js";
import { same, expand } from "./profile.js";
import { replace } from "./rules.js";
import { current, on, shown } from "./store.js";

const dialog = byId("presets");
const search = byId("preset-search");
const list = byId("preset-list");
let profiles = null;

export async function openPresets() {
  if (!current() || dialog.open) return;
  dialog.showModal();
  search.value = "";
  search.focus();
  try {
    profiles ??= (await ask("GET", "/profiles")).value.profiles;
    draw();
  } catch (error) {
    dialog.close();
    complain(`The built-in networks are not known: ${error.message}`);
  }
}

const NONE = { name: "nothing", about: "No rule: everything passes as it comes.", up: [], down: [], profile: {} };

function draw() {
  const asked = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (one) => [one.name, one.about, ...one.up, ...one.down].join(" ").toLowerCase();
  const found = [NONE, ...(profiles ?? [])].filter((one) => asked.every((word) => text(one).includes(word)));
  const now = shown(current());
  const isNow = (one) => same({ ...expand(one.profile), about: "" }, { ...now, about: "" });
  setText(byId("preset-count"), `${found.length} of ${(profiles?.length ?? 0) + 1}`);
  list.replaceChildren(...found.map((one) => el("li", {},
    el("button", { type: "button", "aria-current": isNow(one) ? "true" : null, onclick: () => choose(one) },
      el("b", {}, one.name), ways(one), one.about ? el("span", { class: "about" }, one.about) : null))));
}

function ways(one) {
  const numbers = (words) => words.join(", ") || "nothing";
  if (!one.up.length && !one.down.length) return null;
  const [up, down] = [numbers(one.up), numbers(one.down)];
  const parts = up === down ? [["both", up]] : [["up", up], ["down", down]];
  return el("span", { class: "ways" }, ...parts.map(([way, words]) => el("span", { class: way }, el("i", {}, `${way} `), words)));
}

function choose(one) {
  dialog.close();
  edit(current().name, `preset ${one.name}`, (profile) => replace(profile, one.profile));
}

search.addEventListener("input", draw);
search.addEventListener("keydown", (event) => {
  // Enter takes the first that is found, so that a name can be typed.
  if (event.key === "Enter" && list.firstElementChild) { event.preventDefault(); list.querySelector("button").click(); }
  if (event.key === "ArrowDown") { event.preventDefault(); list.querySelector("button")?.focus(); }
});
list.addEventListener("keydown", (event) => {
  const item = event.target.closest("li");
  const next = event.key === "ArrowDown" ? item?.nextElementSibling : event.key === "ArrowUp" ? item?.previousElementSibling : null;
  if (next) { event.preventDefault(); next.querySelector("button").focus(); }
});
byId("open-presets").addEventListener("click", openPresets);
on("selection", () => dialog.open && dialog.close());
