"use strict";

// Which frame is shown: a view, and for mail a colour scheme. Remembered in the address.
const chosen = { view: "desktop", scheme: "light" };

function show() {
  const mail = chosen.view === "desktop" || chosen.view === "phone";
  const wanted = mail ? `${chosen.view} ${chosen.scheme}` : chosen.view;
  for (const section of document.querySelectorAll("main section")) {
    section.hidden = section.dataset.for !== wanted;
    if (!section.hidden) fill(section.querySelector("iframe"));
  }
  for (const button of document.querySelectorAll("button[data-view]"))
    button.setAttribute("aria-pressed", String(button.dataset.view === chosen.view));
  for (const button of document.querySelectorAll("button[data-scheme]")) {
    button.setAttribute("aria-pressed", String(button.dataset.scheme === chosen.scheme));
    button.disabled = !mail;
  }
  history.replaceState(null, "", `#${wanted.replace(" ", "-")}`);
}

let version = 0;

// A frame is loaded when it is first seen, and again after a save.
function fill(frame) {
  if (frame.dataset.version === String(version)) return;
  frame.dataset.version = String(version);
  frame.src = `${frame.dataset.src}?v=${version}`;
}

async function reload() {
  const answer = await fetch("/state");
  document.getElementById("state").innerHTML = await answer.text();
  show();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.view) chosen.view = button.dataset.view;
  if (button.dataset.scheme) chosen.scheme = button.dataset.scheme;
  show();
});

const [view, scheme] = location.hash.slice(1).split("-");
if (document.querySelector(`button[data-view="${CSS.escape(view)}"]`)) chosen.view = view;
if (scheme === "dark") chosen.scheme = scheme;
show();

const saves = new EventSource("/events");
saves.onmessage = (event) => {
  const now = JSON.parse(event.data).version;
  if (version && now === version) return;
  version = now;
  reload();
};
