/** The timeline: a lane for each worker, a bar for each task; the task under the pointer and the selected one. */

import { barOf, drawLanes, laneTop, timeAt, xOf } from "./bars.js";
import { h } from "./dom.js";
import { replayIn, taskAt } from "./replay.js";
import { changed } from "./state.js";
import { WORKER_COLOURS, coloursOf, densityOf, place, surfaceOf, whenAppearanceChanges } from "./surface.js";

const MARGIN = 4; // pixels above and below, for the glow
const NEAR = 3; // pixels beside a bar that still mean it
const SMALLEST_MARK = 5;
const LABEL_HEIGHT = 11;

/** Pixels for a lane, so that few workers stand out and many fit. */
const laneHeightOf = (lanes) => Math.max(4, Math.min(26, Math.floor(200 / lanes)));

/** What is in view of a run: its pixels and its seconds. */
export function viewOf(state, replay, width) {
  const laneHeight = laneHeightOf(replay.lanes.length);
  const gap = laneHeight > 14 ? 5 : laneHeight > 6 ? 3 : 1;
  const [from, to] = state.zoom ?? [0, replay.length];
  return { width, laneHeight, gap, margin: MARGIN, from, to, colour: state.colour, density: densityOf() };
}

/**
 * Mount the lanes in an element.
 *
 * @returns {{taskNear: (x: number, y: number) => number, hover: (task: number) => void}} `taskNear` finds the
 *   task at a point of the plot, -1 for none; `hover` shows the mark of the pointer
 */
export function mount(container, { data, store }) {
  const labels = h("div", { class: "lane-labels" });
  const canvas = h("canvas", { "aria-hidden": "true" });
  const hovered = h("div", { class: "bar-mark hovered", hidden: true });
  const selected = h("div", { class: "bar-mark selected", hidden: true });
  const plot = h("div", { class: "plot lanes" }, canvas, hovered, selected);
  container.append(labels, plot);

  const now = () => {
    const state = store.get();
    const replay = replayIn(data, state);
    return { state, replay, view: viewOf(state, replay, plot.clientWidth) };
  };

  const frame = (mark, task) => {
    const { replay, view } = now();
    const [left, top, width, height] = task >= 0 ? barOf(replay, view, task) : [-1, 0, 0, 0];
    const from = Math.max(0, Math.min(left, left + width / 2 - SMALLEST_MARK / 2));
    const to = Math.min(view.width, Math.max(left + width, left + width / 2 + SMALLEST_MARK / 2));
    mark.hidden = task < 0 || to < 0 || from > view.width;
    if (!mark.hidden) place(mark, { left: from, top, width: to - from, height });
  };

  const drawSelected = () => {
    const { state, replay } = now();
    frame(selected, state.select == null ? -1 : (replay.taskOf[state.select] ?? -1));
  };

  const draw = () => {
    const { state, replay, view } = now();
    if (!view.width) return;
    const height = laneTop(view, replay.lanes.length) - view.gap + MARGIN;
    plot.style.height = `${height}px`;
    const context = surfaceOf(canvas, view.width, height, view.density);
    drawLanes(context, data, replay, view, coloursOf(plot));
    const every = Math.ceil(LABEL_HEIGHT / (view.laneHeight + view.gap));
    labels.replaceChildren(
      ...replay.lanes.flatMap(({ worker }, lane) => {
        if (lane % every) return [];
        const swatch = h("i", { class: "swatch", hidden: state.colour !== "worker" || every > 1 });
        swatch.style.background = `var(--worker-${lane % WORKER_COLOURS})`;
        const label = h("div", { class: "lane-label" }, `worker ${worker}`, swatch);
        label.style.fontSize = `${Math.min(12.5, Math.max(9.5, view.laneHeight))}px`;
        return [place(label, { top: laneTop(view, lane), height: view.laneHeight })];
      }),
    );
    frame(hovered, -1);
    drawSelected();
  };

  store.subscribe((state, previous) => {
    if (changed(["tab", "run", "zoom", "colour"], state, previous)) draw();
    else if (state.select !== previous.select) drawSelected();
  });
  whenAppearanceChanges(plot, draw);
  draw();

  const taskNear = (x, y) => {
    const { replay, view } = now();
    const lane = Math.floor((y - MARGIN + view.gap / 2) / (view.laneHeight + view.gap));
    if (lane < 0 || lane >= replay.lanes.length) return -1;
    for (let distance = 0; distance <= NEAR; distance++) {
      for (const at of [x - distance, x + distance]) {
        const task = taskAt(replay, lane, timeAt(view, at));
        if (task >= 0) return task;
      }
    }
    return -1;
  };
  return { taskNear, hover: (task) => frame(hovered, task), xOf: (time) => xOf(now().view, time) };
}
