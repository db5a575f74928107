// Puts ALTCHA's widget into the sign-up form. Everything it uses comes from this site: the challenge,
// the worker, the words. Where it cannot work (no HTTPS, a blocked request), it leaves, and the form
// goes without a proof.
import "./altcha.min.js";

const place = document.getElementById("proof");
const form = place.closest("form");
const { challenge, ...words } = place.dataset;

globalThis.$altcha.algorithms.set(
  "PBKDF2/SHA-256",
  () => new Worker(new URL("./pbkdf2.js", import.meta.url)),
);
globalThis.$altcha.i18n.set("en", { ...globalThis.$altcha.i18n.get("en"), ...words });
globalThis.$altcha.defaults.set({
  auto: "onfocus",
  challenge,
  hideFooter: true,
  hideLogo: true,
  humanInteractionSignature: false,
  language: "en", // the page's own words, put in its place
  minDuration: 0,
  name: "proof",
  workers: 2,
});

const widget = document.createElement("altcha-widget");
widget.addEventListener("statechange", (event) => {
  if (event.detail.state === "error") widget.remove();
});
widget.addEventListener("load", () => {
  if (form.contains(document.activeElement)) widget.verify();
});
place.append(widget);
