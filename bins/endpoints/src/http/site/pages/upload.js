"use strict";
const most = {BYTES};
// Larger files are not read twice for a digest of the browser's own.
const digestMost = 256 * 1024 * 1024;
const form = document.getElementById("form");
const input = document.getElementById("files");
const drop = document.getElementById("drop");
const list = document.getElementById("list");
const waiting = [];
let busy = false;

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return (unit ? bytes.toFixed(2) : bytes) + " " + units[unit];
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function add(file) {
  const row = element("li", "sent");
  const head = element("div", "head");
  const name = element("b", "", file.name);
  const state = element("span", "state", "waiting");
  const bar = element("progress");
  const note = element("div", "note", size(file.size));
  bar.max = Math.max(file.size, 1);
  bar.value = 0;
  bar.setAttribute("aria-label", "Progress of " + file.name);
  head.append(name, state);
  row.append(head, bar, note);
  list.append(row);
  const end = (className, text, detail) => {
    row.classList.add(className);
    state.textContent = text;
    if (detail) note.replaceChildren(...detail);
  };
  if (file.size > most) end("bad", "too large", [size(file.size) + "; at most " + size(most)]);
  else waiting.push({ file, state, bar, end });
}

// Only pages from this machine or over TLS may compute digests; elsewhere the server's alone is shown.
async function digest(file) {
  if (!window.crypto || !crypto.subtle || file.size > digestMost) return null;
  const hash = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function send({ file, state, bar, end }) {
  return new Promise((done) => {
    const request = new XMLHttpRequest();
    const begun = performance.now();
    request.upload.onprogress = (event) => {
      const share = event.total ? event.loaded / event.total : 1;
      const seconds = (performance.now() - begun) / 1000;
      bar.value = share * bar.max;
      const rate = seconds > 0.3 ? ", " + size(event.loaded / seconds) + "/s" : "";
      state.textContent = share < 1 ? Math.floor(100 * share) + " %" + rate : "checking";
    };
    request.onload = async () => {
      let answer = null;
      try { answer = JSON.parse(request.responseText); } catch (error) { /* not from us: the status says enough */ }
      const stored = answer && answer.files && answer.files[0];
      if (request.status !== 201 || !stored) {
        end("bad", "not stored", [request.status + " " + (request.responseText.trim() || request.statusText)]);
        return done();
      }
      bar.value = bar.max;
      const mine = await digest(file).catch(() => null);
      const isEqual = mine === null ? null : mine === stored.sha256;
      const name = stored.location ? element("a", "", stored.name) : element("span", "", stored.name);
      if (stored.location) name.href = stored.location;
      const detail = ["stored as ", name, ", " + size(stored.size), element("br"), element("code", "", "sha256 " + stored.sha256)];
      if (isEqual === false) end("bad", "damaged on the way", detail);
      else end("good", isEqual ? "whole: digests agree" : "stored", detail);
      done();
    };
    request.onerror = () => { end("bad", "connection broken", ["Nothing was stored. Try again."]); done(); };
    const data = new FormData();
    data.append("file", file);
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    state.textContent = "0 %";
    request.send(data);
  });
}

async function sendAll() {
  if (busy) return;
  busy = true;
  while (waiting.length) await send(waiting.shift());
  busy = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  for (const file of input.files) add(file);
  form.reset();
  sendAll();
});
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
}
for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  for (const file of event.dataTransfer.files) add(file);
  sendAll();
});
