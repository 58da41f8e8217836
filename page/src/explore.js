/** Explore: what the keys do in the picture, and how many scopes of a numbered family are drawn. */

import { h, isCommand } from "./dom.js";
import { counted } from "./labels.js";

/** @param {HTMLElement} element */
export function mount(element, { model, store, scene, drawing }) {
  const { longest } = drawing;
  const button = (text, act) => h("button", { type: "button", onclick: act }, text);
  element.append(
    h(
      "div",
      { class: "explorer" },
      button("Fold all", drawing.foldAll),
      button("As at first", drawing.unfoldAtFirst),
      longest > 2 ? stepsSlider(longest, { store, drawing }) : null,
      h(
        "p",
        { class: "hint" },
        "Click selects. + on a box or a double click unfolds it, − on a frame folds it. Arrow keys go from box to box, Enter unfolds; ? tells all keys.",
      ),
    ),
  );
  document.addEventListener("keydown", (event) => {
    if (store.get().tab !== "explore" || !isCommand(event)) return;
    if (
      event.target.closest?.(event.key === "Enter" ? "button, input, dialog, aside" : "input, dialog, aside")
    )
      return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      event.preventDefault();
      step(way);
    } else if (event.key === "Enter") fold();
  });

  const selectedBox = () => {
    const { select } = store.get();
    return select === null ? -1 : scene.picture().boxOf[select];
  };

  function step([dx, dy]) {
    const next = neighbour(scene, selectedBox(), dx, dy);
    if (next < 0) return;
    const box = scene.picture().boxes[next];
    store.set({ select: box.nodes[0], whole: box.nodes.length > 1 });
    scene.focus(next);
  }

  function fold() {
    const box = scene.picture().boxes[selectedBox()];
    const path = box?.path ?? box?.frames.at(-1)?.path;
    if (path !== undefined && path !== null) drawing.toggle(path);
  }
}

function stepsSlider(longest, { store, drawing }) {
  const slider = h("input", { type: "range", id: "steps", min: 1, max: longest, step: 1 });
  const counter = h("output", { class: "counter", for: "steps" });
  let timer = 0;
  const show = () => {
    const steps = Math.min(longest, drawing.steps());
    slider.value = String(steps);
    slider.style.setProperty("--share", (steps - 1) / (longest - 1));
    counter.textContent = `${counted(steps)} of ${counted(longest)}`;
  };
  slider.addEventListener("input", () => {
    counter.textContent = `${counted(Number(slider.value))} of ${counted(longest)}`;
    slider.style.setProperty("--share", (Number(slider.value) - 1) / (longest - 1));
    clearTimeout(timer);
    timer = setTimeout(() => store.set({ steps: Number(slider.value) }), 120);
  });
  store.subscribe((state, previous) => state.steps !== previous.steps && show());
  show();
  return h("label", { class: "steps" }, h("span", {}, "Numbered scopes drawn"), slider, counter);
}

/** The nearest box in a direction; from nowhere, the first one. */
function neighbour(scene, from, dx, dy) {
  const { boxes } = scene.picture();
  if (from < 0) return boxes.length ? 0 : -1;
  const at = scene.place(from);
  let [best, least] = [-1, Infinity];
  for (const { index } of boxes) {
    const { x, y } = scene.place(index);
    const along = (x - at.x) * dx + (y - at.y) * dy;
    const beside = Math.abs((x - at.x) * dy) + Math.abs((y - at.y) * dx);
    const cost = along + 2.5 * beside;
    if (index !== from && along > 4 && cost < least) [best, least] = [index, cost];
  }
  return best;
}
