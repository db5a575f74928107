// Shows what the event stream tells. Everything from an issue is written as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const frames = [...document.querySelectorAll("iframe")];
const views = ["mail", "text", "web", "checks"];
let version = "";

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function show(state) {
  const { specimen, complaints, fresh } = state;
  document.body.classList.toggle("stale", !fresh);
  document.body.classList.toggle("empty", !specimen);
  document.title = `${fresh ? "" : "✗ "}${specimen ? specimen.title : "Preview"}`;
  showTrouble(state);
  showChecks(complaints, fresh);
  if (specimen) showSpecimen(specimen);
}

function showTrouble({ complaints, fresh, next, specimen }) {
  const [heading, list, note] = byId("trouble").children;
  byId("trouble").hidden = fresh;
  if (fresh) return;
  heading.textContent = "This cannot be rendered yet";
  list.replaceChildren(...complaints.filter((one) => one.severity === "error").map(line));
  const below = specimen ? "Below, in grey: the last good rendering." : "";
  note.textContent = [next, below].filter(Boolean).join(" ");
}

function showChecks(complaints, fresh) {
  byId("list").replaceChildren(...complaints.map(line));
  byId("clean").hidden = !fresh || complaints.length > 0;
  byId("count").textContent = complaints.length || "";
  byId("count").className = complaints.some((one) => one.severity === "error") ? "error" : "";
}

function line({ place, severity, rule, message }) {
  const made = element("li", severity, "");
  if (place) made.append(element("code", "", place), " ");
  made.append(element("strong", "", severity), " ", element("span", "", message));
  if (rule) made.append(" ", element("small", "", rule));
  return made;
}

function showSpecimen(specimen) {
  byId("title").textContent = specimen.title;
  byId("inbox").hidden = byId("size").hidden = false;
  byId("inbox").replaceChildren(...specimen.subjects.map((subject) => inboxLine(subject, specimen)));
  byId("text").textContent = specimen.text;
  showSize(specimen.size);
  if (specimen.version === version) return;
  version = specimen.version;
  for (const frame of frames) {
    // Replaced, so that a hundred saves are not a hundred steps of the Back button.
    frame.contentWindow.location.replace(`/issue/${frame.dataset.page}?${version}`);
  }
}

function inboxLine(subject, { sender, preheader }) {
  const made = element("p", "", "");
  const rest = element("span", preheader ? "" : "missing", preheader || "no preheader: the first words show");
  made.append(element("b", "sender", sender), element("b", "subject", subject), rest);
  return made;
}

function showSize(bytes) {
  const [meter, words] = byId("size").children;
  meter.value = bytes;
  words.textContent = `${Math.ceil(bytes / 1000)} KB of 102`;
}

function fit(frame) {
  const page = frame.contentDocument;
  for (const link of page.links) {
    // A frame shows the issue and nothing else; another page opens beside it.
    if (!link.getAttribute("href").startsWith("#")) link.target = "_blank";
  }
  const grow = () => {
    const height = Math.ceil(page.documentElement.getBoundingClientRect().height);
    if (height) frame.style.height = `${height}px`;
  };
  new ResizeObserver(grow).observe(page.documentElement);
  grow();
}

function choose() {
  const asked = location.hash.slice(1);
  const chosen = views.includes(asked) ? asked : "mail";
  for (const view of views) byId(`view-${view}`).hidden = view !== chosen;
  for (const link of document.querySelectorAll("nav a")) {
    link.ariaCurrent = link.hash === `#${chosen}` ? "page" : null;
  }
  byId("schemes").hidden = byId("view-mail").hidden && byId("view-web").hidden;
}

function colour() {
  document.querySelector("main").dataset.scheme = document.querySelector("[name=scheme]:checked").value;
}

for (const frame of frames) frame.addEventListener("load", () => fit(frame));
byId("schemes").addEventListener("change", colour);
addEventListener("hashchange", choose);
choose();
colour();

let events = null;

function connect() {
  if (document.hidden) {
    // A browser opens six connections to one server: a page in the background gives its own back.
    events?.close();
    events = null;
  } else if (!events) {
    events = new EventSource("/events");
    events.onopen = () => tell("Live", true);
    events.onerror = () => tell("The preview has stopped. Start it again: this page reconnects.", false);
    events.onmessage = (event) => show(JSON.parse(event.data));
  }
}

function tell(words, well) {
  byId("live").textContent = words;
  byId("live").classList.toggle("lost", !well);
}

document.addEventListener("visibilitychange", connect);
connect();
