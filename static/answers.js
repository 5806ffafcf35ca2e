// Writing on a ticket: drafts kept in this tab, the size of files said before they are sent.

// A draft is kept per person, ticket and tab until it is sent; a reload or a session that ended loses nothing.
const draftOf = (area) => `draft:${area.dataset.draft}`;
function keepDraft(area) {
  const { to, cc } = area.form.elements;
  if (area.value) sessionStorage.setItem(draftOf(area), JSON.stringify({ text: area.value, to: to?.value, cc: cc?.value }));
  else sessionStorage.removeItem(draftOf(area));
}
document.addEventListener("input", (event) => {
  const area = event.target.form?.querySelector("[data-draft]");
  if (area) keepDraft(area);
});
function restoreDraft(area) {
  const kept = JSON.parse(sessionStorage.getItem(draftOf(area)) ?? "null");
  if (!kept?.text || (area.value && area.value !== kept.text)) return; // a browser may have kept it, too
  area.value = kept.text;
  for (const name of ["to", "cc"]) if (kept[name] !== undefined && area.form.elements[name]) area.form.elements[name].value = kept[name];
  changed.add(area.form); // forms.js asks before it is lost
  document.getElementById(`write-${area.dataset.draft.split(":")[2]}`)?.click();
  toast("Your draft is here again.", "good");
}
document.querySelectorAll("[data-draft]").forEach(restoreDraft);
// A form that was sent comes back empty.
document.addEventListener("htmx:after:swap", () => {
  for (const area of document.querySelectorAll("[data-draft]")) if (!area.value) sessionStorage.removeItem(draftOf(area));
});
// The session ended: the way to the sign-in page is free, for the draft is kept.
document.addEventListener("htmx:after:request", (event) => {
  const { response, sourceElement } = event.detail?.ctx ?? {};
  if (response?.headers?.get("HX-Redirect") && sourceElement?.querySelector?.("[data-draft]")) changed.delete(sourceElement);
});

// What is chosen, in all, and whether that is too much: before anything is sent.
document.addEventListener("change", (event) => {
  const most = Number(event.target.dataset?.mostOctets);
  if (!most) return;
  const octets = [...event.target.files].reduce((sum, file) => sum + file.size, 0);
  const megabytes = (octets / 1e6).toFixed(octets < 1e6 ? 2 : 1);
  const empty = [...event.target.files].find((file) => file.size === 0);
  const problem = octets > most ? `The files have ${megabytes} MB in all; at most ${Math.floor(most / 1e4) / 100} MB can be sent. Leave something out.`
    : empty ? `The file ${empty.name} is empty. Leave it out.` : "";
  event.target.setCustomValidity(problem);
  const told = event.target.closest(".field").querySelector("[data-files-total]");
  told.textContent = problem || (octets ? `${megabytes} MB are chosen.` : "");
  event.target.toggleAttribute("data-too-much", Boolean(problem));
  if (problem) event.target.setAttribute("aria-invalid", "true"); else event.target.removeAttribute("aria-invalid");
});
