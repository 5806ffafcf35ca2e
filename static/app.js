// What a page cannot do without a script; everything else works without one.

// First start: propose the browser's own time zone.
for (const select of document.querySelectorAll("select[data-suggest-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...select.options].some((option) => option.value === zone);
  if (known && select.value === "UTC") select.value = zone;
}

// A short message in passing, sent by the server with a fragment (HX-Trigger) or made here.
function toast(message, level) {
  const shown = [...document.querySelectorAll("#toasts [data-message]")];
  if (shown.some((note) => note.dataset.message === message)) return;
  for (const note of shown) if (note.matches(".notice-good")) note.remove(); // what went well before is over
  const note = document.createElement("p");
  note.className = `notice notice-${level}`;
  note.textContent = note.dataset.message = message;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "link-button";
  close.textContent = "Close";
  let from = null;
  close.addEventListener("focus", (event) => { from = event.relatedTarget; });
  close.addEventListener("click", () => { note.remove(); if (from?.isConnected) from.focus(); });
  note.append(" ", close);
  document.getElementById("toasts").append(note);
  if (level === "good") setTimeout(() => { if (!note.contains(document.activeElement)) note.remove(); }, 6000);
}
document.addEventListener("toast", (event) => toast(event.detail.message, event.detail.level));
document.addEventListener("htmx:error", () =>
  toast("No connection to the service desk. Nothing was saved. Try again.", "bad"));
const REFUSED = {  // htmx leaves the page alone then, see htmx-config
  400: "This did not work. Nothing was changed. Reload the page and try again.",
  403: "Your account may not do this. Nothing was changed.",
  413: "What you sent is too large. Nothing was changed.",
};
document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail?.ctx?.response?.status ?? 0;
  if (status >= 500) toast("Something went wrong on our side. Nothing was changed.", "bad");
  if (status in REFUSED) toast(REFUSED[status], "bad");
});

// Whoever works with the keyboard is never thrown to the top of the page: what had the focus before it was
// replaced, or disabled while something was sent, gets it back; else the part that stands in its place.
let stood = [];
document.addEventListener("mousedown", () => { stood = []; }, { capture: true });
document.addEventListener("focusin", (event) => {
  stood = [];
  for (let part = event.target; part; part = part.parentElement) if (part.id) stood.push(part.id);
});
function stand() {
  if (document.activeElement && document.activeElement !== document.body) return;
  const part = stood.map((id) => document.getElementById(id)).find((part) => part && !part.disabled);
  if (part && part.tabIndex < 0) part.tabIndex = -1;
  part?.focus({ preventScroll: true });
}
for (const name of ["htmx:after:settle", "htmx:finally:request"]) {
  document.addEventListener(name, () => setTimeout(stand));
}

// Ctrl+Enter sends a note.
// Enter in a field that belongs to another button than the form's first one presses that button.
document.addEventListener("keydown", (event) => {
  const button = event.key === "Enter" && !event.isComposing && event.target.dataset?.enter;
  if (!button) return;
  event.preventDefault();
  document.getElementById(button)?.click();
});

document.addEventListener("keydown", (event) => {
  const sends = event.key === "Enter" && (event.ctrlKey || event.metaKey);
  if (sends && event.target.matches?.("[data-ctrl-enter]")) event.target.form.requestSubmit();
});

// Lists refresh themselves: `app:tick` on the body every 15 s while the tab is seen, every 60 s once nobody
// has moved for five minutes, never while paused.
const TICK = 15_000, IDLE_TICK = 60_000, IDLE_AFTER = 300_000;
let active = Date.now(), ticked = Date.now(), paused = false;
for (const name of ["pointermove", "keydown", "scroll", "focus"]) {
  window.addEventListener(name, () => { active = Date.now(); }, { capture: true, passive: true });
}
function tick() {
  const now = Date.now();
  if (paused || document.hidden || now - ticked < (now - active > IDLE_AFTER ? IDLE_TICK : TICK)) return;
  ticked = now;
  document.body.dispatchEvent(new CustomEvent("app:tick"));
}
setInterval(tick, 1000);
document.addEventListener("visibilitychange", tick);

// A list in use stays as it is: nothing is swapped under a focus or a selection.
const inUse = (list) =>
  list.contains(document.activeElement) || (!getSelection().isCollapsed && list.contains(getSelection().anchorNode));
for (const name of ["htmx:before:request", "htmx:before:swap"]) {
  document.addEventListener(name, (event) => {
    const source = event.detail?.ctx?.sourceElement;
    if (source?.matches?.("[data-live]") && inUse(source)) event.preventDefault();
  });
}

// The email log: a table that was unfolded stays so when its part refreshes itself.
let unfolded = [];
document.addEventListener("htmx:before:swap", () => {
  unfolded = [...document.querySelectorAll("[data-live] details[open][id]")].map((details) => details.id);
});
document.addEventListener("htmx:after:swap", () => {
  for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
});

// Pause, shown only where there is a script to be paused.
for (const updates of document.querySelectorAll("[data-updates]")) {
  updates.hidden = false;
  updates.querySelector("[data-pause]").addEventListener("click", (event) => {
    paused = !paused;
    event.target.textContent = paused ? "Resume" : "Pause";
    updates.querySelector("[data-updates-word]").textContent = paused ? "Updates paused" : "Updates every 15 s";
  });
}
