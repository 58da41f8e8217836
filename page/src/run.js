/** The Run tab: a recorded run, replayed in the graph above its timeline; a switch between the runs. */

import * as axis from "./axis.js";
import { startClock } from "./clock.js";
import { h } from "./dom.js";
import * as lights from "./lights.js";
import * as memory from "./memory.js";
import * as pointer from "./pointer.js";
import { colourChoice, facts, legend, paceChoice, playButton, readout, runChoice } from "./runbar.js";
import { listenToKeys } from "./runkeys.js";
import * as timeline from "./timeline.js";

/** Mount the tab in its strip; without a recorded run it says so. */
export function mount(container, { data, model, store, scene }) {
  container.classList.add("run");
  if (!data.runs.length) {
    container.append(h("p", { class: "no-runs" }, "No run was recorded for this page."));
    return;
  }
  const context = { data, model, store, scene };
  const lanes = h("div", { class: "chart-row" });
  const curve = h("div", { class: "chart-row" });
  const scale = h("div", { class: "chart-row" });
  const over = h("div", { class: "over" });
  const grid = h("div", { class: "grid", "aria-hidden": "true" });
  const charts = h("div", { class: "charts" }, grid, lanes, curve, scale, over);
  container.append(
    h(
      "div",
      { class: "run-bar" },
      playButton(context),
      readout(context),
      paceChoice(context),
      colourChoice(context),
      runChoice(context),
    ),
    h("div", { class: "run-bar" }, facts(context), legend(context)),
    charts,
  );
  const shown = timeline.mount(lanes, context);
  memory.mount(curve, context);
  axis.mount(scale, grid, context);
  pointer.mount(over, shown, context);
  lights.mount(context);
  startClock(context);
  listenToKeys(context);
}
