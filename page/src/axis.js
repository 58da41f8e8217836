/** The time axis below the charts, which share it. */

import { xOf } from "./bars.js";
import { h } from "./dom.js";
import { replayIn } from "./replay.js";
import { ticks } from "./scales.js";
import { changed } from "./state.js";
import { place, whenAppearanceChanges } from "./surface.js";
import { viewOf } from "./timeline.js";

const APART = 90; // pixels between ticks, about
const EDGE = 22; // pixels from the ends in which a number stands inwards

/** Mount the axis in an element, and lines at its ticks in `grid`, an element behind the charts. */
export function mount(container, grid, { data, store }) {
  const scale = h("div", { class: "axis", "aria-hidden": "true" });
  container.append(scale);

  const draw = () => {
    const state = store.get();
    const view = viewOf(state, replayIn(data, state), scale.clientWidth);
    if (!view.width) return;
    const shown = ticks(view.from, view.to, Math.max(2, view.width / APART));
    const at = (x, name, text) => place(h("span", { class: name }, text), { left: x });
    const xs = shown.map((tick) => xOf(view, tick.value));
    const side = (x) => (x < EDGE ? " first" : x > view.width - EDGE ? " last" : "");
    scale.replaceChildren(...xs.map((x, index) => at(x, `tick${side(x)}`, shown[index].text)));
    grid.replaceChildren(...xs.map((x) => at(x, "grid-line", "")));
  };

  store.subscribe((state, previous) => {
    if (changed(["tab", "run", "zoom"], state, previous)) draw();
  });
  whenAppearanceChanges(scale, draw);
  draw();
}
