// Forms with a script: unsaved entries, the mail server form, results that name a field. All work without.

// "Go to Port": below a failed test, and above a refused form. A group of buttons: the chosen one.
function goTo(hash) {
  const found = hash ? document.getElementById(hash.slice(1)) : null;
  const control = found?.matches("fieldset") ? found.querySelector(":checked") ?? found.querySelector("input") : found;
  const isControl = control?.matches("input, select, textarea") ?? false;
  if (isControl) control.focus();
  return isControl;
}
document.addEventListener("click", (event) => {
  if (goTo(event.target.closest("a[href*='#']")?.hash)) event.preventDefault();
});
goTo(location.hash);

// Unsaved entries: ask before they are lost.
const QUESTION = "Discard your unsaved changes?";
const changed = new Set();
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-guard]");
  if (form) changed.add(form);
});
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented) return; // htmx sends it: saved once another fragment has taken its place
  if (event.submitter?.hasAttribute("formtarget")) return; // shown in a frame of the page, not saved
  changed.delete(event.target);
  event.target.removeAttribute("data-unsaved");
});
const isChanged = (form) => changed.has(form) || form.hasAttribute("data-unsaved"); // refused by the server
window.addEventListener("beforeunload", (event) => {
  if ([...document.querySelectorAll("form[data-guard]")].some(isChanged)) event.preventDefault();
});
document.addEventListener("click", (event) => { // before htmx hears of it
  const form = event.target.closest("[data-cancel]")?.closest("form[data-guard]");
  if (!form || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (isChanged(form) && !confirm(QUESTION)) {
    event.preventDefault();
    event.stopImmediatePropagation();
  } else {
    changed.delete(form);
    form.removeAttribute("data-unsaved");
  }
}, { capture: true });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") event.target.closest?.("form[data-guard]")?.querySelector("[data-cancel]")?.click();
});

// Port and encryption follow each other while the other one is untouched (`mode_left`: see mail_forms.py).
const isClassic = (form) => !["exchange", "office365"].includes(form.elements.protocol?.value);
const portsOf = (form) => form.querySelector("[data-ports]")?.dataset.ports.split(" ") ?? [];
const modesOf = (form) => [...form.querySelectorAll("[data-ports]")]; // in the order of their ports
document.addEventListener("change", (event) => {
  const { target } = event, form = target.form, port = form?.elements.port;
  if (!port || !form.elements.tls_mode) return;
  if (target.name === "protocol") { // another one's usual port
    if (["443", form.elements.use_ssl.dataset.portOff, ...portsOf(form), "465", "587"].includes(port.value)) port.value = "";
    form.elements.protocol_shown.value = target.value;
  }
  if (!isClassic(form)) return;
  const ssl = form.elements.use_ssl, off = ssl.dataset.portOff, modes = modesOf(form), ports = portsOf(form);
  const left = form.elements.mode_left;
  if (target.name === "tls_mode") left.value = "";
  if (["tls_mode", "use_ssl"].includes(target.name) && ["", off, ...ports].includes(port.value)) {
    const mode = modes.findIndex((radio) => radio.checked);
    port.value = ssl.checked ? ports[mode] ?? port.value : off;
  }
  if (target.name === "port" && left.value && port.value) {
    const usual = { 993: 0, 465: 0, 143: 1, 587: 1 }[port.value]; // an unusual port says nothing: choose
    modes.forEach((radio, place) => { radio.checked = place === usual; });
    left.value = modes[usual]?.value ?? "open";
  }
});

// An empty port shows which one will be taken.
function showUsualPort(form) {
  const { port, use_ssl: ssl } = form.elements, mode = modesOf(form).findIndex((radio) => radio.checked);
  port.placeholder = !isClassic(form) ? "443" : ssl.checked ? portsOf(form)[mode] ?? "" : ssl.dataset.portOff;
}
document.addEventListener("change", ({ target: { form } }) => { if (form?.querySelector("[data-ports]")) showUsualPort(form); });

// A provider, a suggestion or the cure of a failed test fills in fields; then it may press a button.
function fillIn(form, changes) {
  for (const [name, text] of Object.entries(changes)) {
    const control = form.elements[name];
    if (control?.type === "checkbox") control.checked = text === "true";
    else if (control) control.value = text;
  }
  if ("tls_mode" in changes) form.elements.mode_left.value = "";
  form.dispatchEvent(new Event("change", { bubbles: true }));
  changed.add(form);
}
document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.matches("[data-fills]") && target.value) fillIn(target.form, JSON.parse(target.value));
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-fill]");
  if (!button?.form) return; // the row is not open: nothing to fill in
  event.preventDefault();
  fillIn(button.form, JSON.parse(button.dataset.fill));
  if (button.dataset.then) document.getElementById(button.dataset.then).click();
});

// Show a password, copy a text, take a question away.
document.addEventListener("click", (event) => {
  const { shows, copies, dismiss, back } = event.target.closest("button")?.dataset ?? {};
  if (shows) {
    const control = document.getElementById(shows), show = control.type === "password";
    control.type = show ? "text" : "password";
    event.target.setAttribute("aria-pressed", show);
    event.target.firstChild.data = show ? "Hide" : "Show";
  }
  if (copies) {
    const text = document.getElementById(copies);
    getSelection().selectAllChildren(text); // what is left to do where the clipboard is refused
    navigator.clipboard?.writeText(text.textContent).then(() => { event.target.textContent = "Copied"; }, () => {});
  }
  if (dismiss) {
    document.getElementById(dismiss).replaceChildren();
    document.getElementById(back).focus();
  }
});

// What runs in the background is announced at its start and its end. A test that began has taken every
// field, so older complaints are void; one that failed marks the field that is to blame.
const told = new Map();
function hear(part) {
  if (told.get(part.id) === part.dataset.say) return;
  told.set(part.id, part.dataset.say);
  document.getElementById("said").textContent = part.dataset.say;
  const form = document.getElementById(part.dataset.form);
  if (!form) return;
  for (const old of form.querySelectorAll(".field-error, #form-problems")) old.remove();
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
  const guilty = document.getElementById(part.dataset.guilty);
  guilty?.setAttribute("aria-invalid", "true");
  if (guilty && !guilty.getAttribute("aria-describedby")?.includes(part.dataset.because)) {
    guilty.setAttribute("aria-describedby", `${part.dataset.because} ${guilty.getAttribute("aria-describedby") ?? ""}`);
  }
}
document.addEventListener("htmx:after:swap", () => document.querySelectorAll("[data-say]").forEach(hear));
