/** Pointing at the charts: the time cursor, zoom, what is under the pointer, the choice of a task. */

import { timeAt, xOf } from "./bars.js";
import { h } from "./dom.js";
import { duration } from "./labels.js";
import { PHASES } from "./model.js";
import { ended, phaseOf, replayIn, running, taskName } from "./replay.js";
import { timeWithin } from "./scales.js";
import { changed } from "./state.js";
import { place } from "./surface.js";
import { viewOf } from "./timeline.js";

const CLICK = 4; // pixels: a drag of less is a click
const SMALLEST_ZOOM = 1e-4; // of a run

/**
 * Mount the layer that lies over the plots and takes the pointer.
 *
 * @param {{taskNear: (x: number, y: number) => number, hover: (task: number) => void}} timeline
 */
export function mount(container, timeline, { data, store }) {
  const veil = h("div", { class: "veil" });
  const range = h("div", { class: "range", hidden: true });
  const tip = h("div", { class: "tip", role: "tooltip", hidden: true });
  const handle = h("div", { class: "handle" });
  const cursor = h("div", { class: "cursor", role: "slider", tabindex: "0", "aria-label": "Time" }, handle);
  const layer = h("div", { class: "pointer" }, veil, range, cursor, tip);
  container.append(layer);

  const now = () => {
    const state = store.get();
    const replay = replayIn(data, state);
    return { state, replay, view: viewOf(state, replay, layer.clientWidth) };
  };

  const moveCursor = () => {
    const { state, replay, view } = now();
    const time = Math.min(state.time ?? replay.length, replay.length);
    const x = xOf(view, time);
    cursor.hidden = x < -1 || x > view.width + 1;
    place(cursor, { left: x });
    const from = Math.max(0, Math.min(view.width, x));
    place(veil, { left: from, width: Math.max(0, Math.min(view.width, xOf(view, replay.length)) - from) });
    const percent = Math.round((time / replay.length) * 100);
    cursor.setAttribute("aria-valuenow", percent);
    cursor.setAttribute("aria-valuetext", momentText(data, replay, time));
  };

  const point = (event) => {
    const box = layer.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  const showTip = ({ x, y }) => {
    const { replay, view } = now();
    const task = timeline.taskNear(x, y);
    timeline.hover(task);
    layer.classList.toggle("on-task", task >= 0);
    tip.hidden = task < 0;
    if (task < 0) return;
    tip.replaceChildren(...tipLines(data, replay, task));
    const left = Math.max(0, Math.min(view.width - tip.offsetWidth, x + 14));
    place(tip, { left, top: y - tip.offsetHeight - 12 });
  };

  const hideTip = () => {
    timeline.hover(-1);
    tip.hidden = true;
  };

  let drag = null; // {kind: "range" or "time", x: where it began}

  const setTime = (x) => {
    const { replay, view } = now();
    store.set({ time: Math.max(0, Math.min(replay.length, timeAt(view, x))), playing: false });
  };

  layer.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const { x, y } = point(event);
    const onAxis = y > layer.clientHeight - 18;
    drag = { kind: onAxis || cursor.contains(event.target) ? "time" : "range", x };
    layer.setPointerCapture(event.pointerId);
    if (onAxis) setTime(x);
    hideTip();
  });

  layer.addEventListener("pointermove", (event) => {
    const { x, y } = point(event);
    if (!drag) showTip({ x, y });
    else if (drag.kind === "time") setTime(x);
    else {
      range.hidden = Math.abs(x - drag.x) < CLICK;
      place(range, { left: Math.min(x, drag.x), width: Math.abs(x - drag.x) });
    }
  });

  layer.addEventListener("pointerup", (event) => {
    if (drag?.kind === "range") finish(drag.x, point(event));
    drag = null;
    range.hidden = true;
  });

  layer.addEventListener("pointercancel", () => {
    drag = null;
    range.hidden = true;
  });

  const finish = (begin, { x, y }) => {
    const { replay, view } = now();
    if (Math.abs(x - begin) >= CLICK) {
      store.set({ zoom: within(replay, timeAt(view, Math.min(x, begin)), timeAt(view, Math.max(x, begin))) });
      return;
    }
    const task = timeline.taskNear(x, y);
    store.set({ select: task < 0 ? null : replay.nodes[task].at(-1), whole: false });
  };

  layer.addEventListener("pointerleave", () => !drag && hideTip());
  layer.addEventListener("dblclick", () => store.set({ zoom: null }));
  layer.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const { view } = now();
      const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
      if (sideways) pan(store, data, ((event.deltaX || event.deltaY) / view.width) * (view.to - view.from));
      else zoomBy(store, data, 1.0015 ** event.deltaY, timeAt(view, point(event).x));
      hideTip();
    },
    { passive: false },
  );

  store.subscribe((state, previous) => {
    if (changed(["tab", "run", "zoom", "time"], state, previous)) moveCursor();
  });
  new ResizeObserver(() => requestAnimationFrame(moveCursor)).observe(layer);
  moveCursor();
}

/** A zoom of `from` to `to`, within the run and not too narrow; null where it shows all. */
function within(replay, from, to) {
  const width = Math.min(replay.length, Math.max(to - from, replay.length * SMALLEST_ZOOM));
  if (width >= replay.length * 0.999) return null;
  const begin = Math.max(0, Math.min(replay.length - width, from));
  return [begin, begin + width];
}

/** Make the time in view `factor` times as long, with the moment `around` where it is. */
export function zoomBy(store, data, factor, around) {
  const state = store.get();
  const replay = replayIn(data, state);
  const [from, to] = state.zoom ?? [0, replay.length];
  const width = Math.max((to - from) * factor, replay.length * SMALLEST_ZOOM);
  const begin = around - ((around - from) / (to - from)) * width;
  store.set({ zoom: within(replay, begin, begin + width) });
}

/** Move the time in view by `seconds`. */
export function pan(store, data, seconds) {
  const state = store.get();
  if (!state.zoom) return;
  store.set({ zoom: within(replayIn(data, state), state.zoom[0] + seconds, state.zoom[1] + seconds) });
}

/** What a moment of a run is like, in words. */
function momentText(data, replay, time) {
  const names = running(replay, time).map(
    (task) => `${taskName(data, replay, task)} on worker ${replay.lanes[replay.lane[task]].worker}`,
  );
  const done = `${ended(replay, time)} of ${replay.count} tasks done`;
  const moment = `${timeWithin(time, replay.length)} of ${timeWithin(replay.length, replay.length)}`;
  return [moment, done, ...names].join(", ");
}

function tipLines(data, replay, task) {
  const members = replay.nodes[task];
  const facts = [
    `${duration(replay.end[task] - replay.start[task])}, from ${timeWithin(replay.start[task], replay.length)}`,
    `worker ${replay.lanes[replay.lane[task]].worker}, ${PHASES[phaseOf(data, replay, task)]}`,
  ];
  if (replay.critical[task]) facts.push("on the critical path");
  const [name, ops] = [taskName(data, replay, task), opsText(data, members)];
  return [
    h("b", {}, name),
    ...(ops === name ? [] : [h("span", { class: "tip-op" }, ops)]),
    ...facts.map((fact) => h("span", {}, fact)),
  ];
}

/** The ops of a task's nodes, each once, with how often. */
function opsText(data, members) {
  const counts = new Map();
  for (const node of members) {
    const op = data.ops[data.nodes.op[node]].name;
    counts.set(op, (counts.get(op) ?? 0) + 1);
  }
  const texts = [...counts].map(([op, count]) => (count > 1 ? `${op} ×${count}` : op));
  return texts.slice(0, 4).join(", ") + (texts.length > 4 ? ", …" : "");
}
