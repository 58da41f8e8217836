/** Live memory: a step curve below the timeline, with its peak named. */

import { timeAt, xOf } from "./bars.js";
import { h } from "./dom.js";
import { duration, quantity } from "./labels.js";
import { bytesAt, countUpTo, replayIn } from "./replay.js";
import { changed } from "./state.js";
import { coloursOf, place, surfaceOf, whenAppearanceChanges } from "./surface.js";
import { viewOf } from "./timeline.js";

const HEIGHT = 58;
const TOP = 16; // room for the peak's name
const BOTTOM = 2;

/** Mount the curve in an element; nothing is shown of a run that held no arrays. */
export function mount(container, { data, store }) {
  const label = h("div", { class: "memory-label" });
  const canvas = h("canvas", { "aria-hidden": "true" });
  const peak = h("div", { class: "peak" });
  const peakName = h("div", { class: "peak-name" });
  const here = h("div", { class: "memory-here" });
  const plot = h("div", { class: "plot memory" }, canvas, peak, peakName, here);
  container.append(label, plot);

  const now = () => {
    const state = store.get();
    const replay = replayIn(data, state);
    return { state, replay, view: viewOf(state, replay, plot.clientWidth) };
  };

  const yOf = (replay, held) => HEIGHT - BOTTOM - (held / replay.memory.peak.bytes) * (HEIGHT - TOP - BOTTOM);

  const moveHere = () => {
    const { state, replay, view } = now();
    const time = state.time ?? replay.length;
    const inView = replay.memory.peak.bytes && time >= view.from && time <= view.to;
    here.hidden = !inView;
    if (inView) place(here, { left: xOf(view, time), top: yOf(replay, bytesAt(replay, time)) });
  };

  const draw = () => {
    const { replay, view } = now();
    const { time, bytes: held } = replay.memory.peak;
    container.hidden = !held;
    if (!view.width || !held) return;
    const context = surfaceOf(canvas, view.width, HEIGHT, view.density);
    plot.style.height = `${HEIGHT}px`;
    drawCurve(context, replay, view, coloursOf(plot), (value) => yOf(replay, value));
    label.textContent = "memory";
    const x = xOf(view, time);
    peak.hidden = peakName.hidden = x < 0 || x > view.width;
    place(peak, { left: x, top: TOP });
    peakName.textContent = `peak ${quantity(held, "B")} at ${duration(time)}`;
    peakName.classList.toggle("leftward", x > view.width - 170);
    place(peakName, { left: x, top: 0 });
    moveHere();
  };

  store.subscribe((state, previous) => {
    if (changed(["tab", "run", "zoom"], state, previous)) draw();
    else if (state.time !== previous.time) moveHere();
  });
  whenAppearanceChanges(plot, draw);
  draw();
}

/** The steps within the view; where several fall into a pixel, their least and their most are joined. */
function drawCurve(context, replay, view, colours, yOf) {
  const { time, bytes: held } = replay.memory;
  const points = [[0, yOf(bytesAt(replay, timeAt(view, 0)))]];
  let level = points[0][1];
  let index = countUpTo(time.length, (at) => time[at], view.from);
  while (index < time.length && time[index] <= view.to) {
    const x = xOf(view, time[index]);
    let [low, high, last] = [level, level, level];
    for (; index < time.length && xOf(view, time[index]) < x + 0.5; index++) {
      last = yOf(held[index]);
      low = Math.max(low, last);
      high = Math.min(high, last);
    }
    points.push([x, level], [x, high], [x, low], [x, last]);
    level = last;
  }
  points.push([Math.min(view.width, xOf(view, replay.length)), level]);
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.strokeStyle = colours.memory;
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(points.at(-1)[0], HEIGHT);
  context.lineTo(0, HEIGHT);
  context.fillStyle = colours.memoryFill;
  context.fill();
}
