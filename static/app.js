// What a page cannot do without a script; everything else works without one.

// First start: propose the browser's own time zone.
for (const select of document.querySelectorAll("select[data-suggest-zone]")) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = [...select.options].some((option) => option.value === zone);
  if (known && select.value === "UTC") select.value = zone;
}

// A short message in passing, sent by the server with a fragment (HX-Trigger) or made here.
function toast(message, level) {
  const note = document.createElement("p");
  note.className = `notice notice-${level}`;
  note.textContent = message;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "link-button";
  close.textContent = "Close";
  close.addEventListener("click", () => note.remove());
  note.append(" ", close);
  document.getElementById("toasts").append(note);
  if (level === "good") setTimeout(() => note.remove(), 6000);
}
document.addEventListener("toast", (event) => toast(event.detail.message, event.detail.level));
document.addEventListener("htmx:error", () =>
  toast("No connection to the service desk. Nothing was saved. Try again.", "bad"));
document.addEventListener("htmx:response:error", (event) => {
  const status = event.detail?.ctx?.response?.status ?? 0;
  if (status >= 500) toast("Something went wrong on our side. Nothing was changed.", "bad");
});

// "Go to this field" below a failed test, and the links above a refused form.
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  const control = link && document.getElementById(link.hash.slice(1));
  if (control?.matches("input, select, textarea")) {
    event.preventDefault();
    control.focus();
  }
});

// Unsaved entries: ask before they are lost.
const changed = new Set();
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-guard]");
  if (form) changed.add(form);
});
document.addEventListener("submit", (event) => changed.delete(event.target));
const unsaved = () => [...changed].some((form) => form.isConnected);
window.addEventListener("beforeunload", (event) => {
  if (unsaved()) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  const form = event.key === "Escape" && event.target.closest?.("form[data-guard]");
  const cancel = form && form.querySelector("[data-cancel]");
  if (cancel && (!changed.has(form) || confirm("Discard your unsaved changes?"))) cancel.click();
});
