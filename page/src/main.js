/** Starts the page: reads its data, draws the graph, mounts the three views. In a worker: Graphviz. */

import { createDrawing } from "./drawing.js";
import { mount as mountDerivation } from "./derivation.js";
import { mount as mountExplore } from "./explore.js";
import { mount as mountFrame, notice } from "./frame.js";
import { graphviz, serve } from "./graphviz.js";
import { modelOf } from "./model.js";
import { mount as mountPanel } from "./panel.js";
import { replayIn } from "./replay.js";
import { mount as mountRun } from "./run.js";
import { createScene } from "./scene.js";
import { mount as mountSearch } from "./search.js";
import { mount as mountSelection } from "./selecting.js";
import { createStore } from "./state.js";
import { byId } from "./dom.js";

const NARROWEST = 1e-5; // of a run: a zoom in which the digits of a time still tell its ticks apart

/** Puts right what a hash asks for and this graph does not have; says what that was. */
function wrongIn(model) {
  const { data, derived, count } = model;
  const checks = {
    tab: (tab) => (tab === "run" && !data.runs.length) || (tab === "derive" && !derived.length),
    step: (step) => step > derived.length,
    select: (node) => node >= count,
    run: (run) => run >= Math.max(1, data.runs.length),
    zoom: ([from, to], state) => {
      const length = data.runs.length ? replayIn(data, state).length : 0;
      return !(from < length && to <= 2 * length && to - from >= length * NARROWEST);
    },
  };
  const tab = derived.length ? "derive" : "explore";
  const fallback = { tab, step: null, select: null, run: 0, zoom: null };
  return (state, given) => {
    const problems = [];
    for (const [key, isWrong] of Object.entries(checks)) {
      if (state[key] === null || !isWrong(state[key], state)) continue;
      if (given.has(key)) problems.push(`${key}=${state[key]}`);
      state[key] = fallback[key];
    }
    return problems;
  };
}

function boot(script) {
  const layOut = graphviz(script);
  const data = JSON.parse(byId("dagexec-data").textContent);
  const model = modelOf(data);
  const store = createStore(wrongIn(model), notice);
  const scene = createScene(byId("scene"), model);
  const context = { data, model, store, scene };
  context.drawing = createDrawing({ ...context, layOut });
  mountFrame(context);
  mountSelection(context);
  mountSearch(byId("search"), context);
  mountPanel(byId("panel"), context);
  mountDerivation(byId("strip-derive"), context);
  mountExplore(byId("strip-explore"), context);
  mountRun(byId("strip-run"), context);
  context.drawing.start();
}

if (typeof document === "undefined") serve();
else boot(document.currentScript.textContent);
