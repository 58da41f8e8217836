/** Search by name, op and scope; Enter and N step through the results. */

import { h, isCommand } from "./dom.js";
import { counted } from "./labels.js";

/** @param {HTMLElement} element */
export function mount(element, { model, store, scene, drawing }) {
  const field = h("input", {
    type: "search",
    id: "search-field",
    placeholder: "Search",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 200,
    "aria-label": "Search nodes by name, op or scope",
    "aria-describedby": "search-count",
  });
  const count = h("output", { id: "search-count", for: "search-field" });
  const step = (by, text, label) =>
    h(
      "button",
      { type: "button", class: "plain", title: label, "aria-label": label, onclick: () => go(by) },
      text,
    );
  const steps = h(
    "span",
    { class: "search-steps", hidden: true },
    count,
    step(-1, "‹", "Last result (Shift N)"),
    step(1, "›", "Next result (N)"),
  );
  element.append(field, steps);
  const texts = [];
  let found = [];

  /** What a node is found by, made when it is first needed. */
  const textOf = (i) =>
    (texts[i] ??=
      `${model.name(i)}\n${model.title(i)}\n${model.op(i).name}\n${model.scope(i).join("/")}`.toLowerCase());

  function find({ query, select }) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    found = words.length ? model.seen.filter((i) => words.every((word) => textOf(i).includes(word))) : [];
    if (field.value !== query) field.value = query;
    steps.hidden = !query;
    tell(select);
    scene.mark("found", found);
  }

  function tell(select) {
    const at = found.indexOf(select);
    count.textContent = at < 0 ? counted(found.length) : `${counted(at + 1)} of ${counted(found.length)}`;
    element.classList.toggle("nothing", Boolean(store.get().query) && !found.length);
  }

  function go(by) {
    if (!found.length) return;
    const at = found.indexOf(store.get().select);
    const next = found[at < 0 ? (by > 0 ? 0 : found.length - 1) : (at + by + found.length) % found.length];
    drawing.uncover(next);
    store.set({ select: next, whole: false });
  }

  field.addEventListener("input", () => store.set({ query: field.value }));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      store.set({ query: "" });
      field.blur();
    }
    event.stopPropagation();
  });
  document.addEventListener("keydown", (event) => {
    if (!isCommand(event)) return;
    if (event.key === "/") {
      event.preventDefault();
      field.focus();
      field.select();
    }
    if (event.key.toLowerCase() === "n") go(event.shiftKey ? -1 : 1);
  });
  store.subscribe((state, previous) => {
    if (state.query !== previous.query) find(state);
    else if (state.select !== previous.select) tell(state.select);
  });
  find(store.get());
}
