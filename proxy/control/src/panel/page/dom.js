// Elements. Text goes in as text: nothing that a peer sends becomes markup.

/** Makes an element. `on…` are listeners, `class` and the like attributes, true an empty one. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text, if it is another: what reads the page aloud would say it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Replaces the children, and keeps the focus on what has the same `data-key`. */
export function fill(element, children) {
  const key = element.contains(document.activeElement) && document.activeElement.dataset.key;
  element.replaceChildren(...children);
  if (key) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

const said = byId("said");
const trouble = byId("trouble");

/** Says what was done, where nobody has to look for it. */
export function say(text) {
  said.textContent = text;
}

let troubled = null;

/** Says what went wrong with something, until it is dismissed or goes well. */
export function complain(text, about = null) {
  troubled = about;
  trouble.firstElementChild.textContent = text;
  trouble.hidden = !text;
}

/** Takes the complaint about something away, if it stands. */
export function content(about) {
  if (troubled === about) complain("");
}

trouble.lastElementChild.addEventListener("click", () => complain(""));
