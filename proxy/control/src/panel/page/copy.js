// Every state as text: the profile, a command line that begins with it, a curl call that sets it.
import { byId, complain, setText } from "./dom.js";
import { path } from "./api.js";
import { compact, laidOut } from "./profile.js";
import { current, shown, store } from "./store.js";

/** A word for a shell, in quotes where it needs them. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function profileJson(proxy) {
  return laidOut(compact(shown(proxy)));
}

/** A whole configuration: the draws follow the seed and the route's name, so only this repeats each fate. */
function configuration(proxy) {
  const tcp = proxy.protocol === "udp" || !proxy.tcp ? {} : { tcp: proxy.tcp === "raw" ? "raw" : { model: proxy.tcp } };
  const unit = proxy.tcp === "raw" && proxy.unit ? { unit: proxy.unit } : {};
  const seed = proxy.seed == null ? {} : { seed: proxy.seed };
  // The password is not known here: whoever plays it writes the user in.
  const way = proxy.target == null ? { upstream: proxy.upstream } : { target: proxy.target };
  const entry = { name: proxy.name, listen: `${proxy.protocol}://${proxy.listen}`, ...way, ...seed, ...tcp, ...unit, profile: compact(shown(proxy)) };
  return { ...(store.seed == null ? {} : { seed: store.seed }), proxies: [entry] };
}

export function commandLine(proxy) {
  // The word that ends the document stands nowhere in it on a line of its own.
  return `cat > jostle.json <<'JSON'\n${laidOut(configuration(proxy))}\nJSON\njostle proxy --config jostle.json`;
}

export function curl(proxy) {
  const url = new URL(path(proxy.name, "profile"), location.href).href;
  return `curl -X PUT ${quoted(url)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(JSON.stringify(compact(shown(proxy))))}`;
}

const FORMS = {
  json: ["The profile as JSON", profileJson, "jostle proxy … --profile FILE takes it, and PUT /proxies/{name}/profile."],
  command: ["A command line", commandLine, "The seed and the route's name are in it: the same packets meet the same fates."],
  curl: ["A curl call", curl, "It sets this profile on this proxy."],
};

const dialog = byId("copied");
const text = byId("copied-text");

export async function copy(form) {
  const proxy = current();
  if (!proxy) return;
  const [title, write, about] = FORMS[form];
  text.value = write(proxy);
  setText(byId("copied-title"), title);
  setText(byId("copied-about"), about);
  setText(byId("copied-note"), "Press Ctrl-C to copy it.");
  dialog.showModal();
  text.focus();
  text.select();
  try {
    // A browser may ask the person first, and need not answer.
    await navigator.clipboard.writeText(text.value);
    setText(byId("copied-note"), "It is on the clipboard.");
  } catch { /* a page may not be allowed to */ }
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button.dataset.copy).catch((error) => complain(error.message)));
}
