/** The lanes of a timeline on a canvas: bars, idle time, the critical path. */

import { countUpTo, phaseOf, taskName } from "./replay.js";

const WIDE = 2; // pixels: narrower tasks are merged by column
const LABELLED = 24;
const HATCH = 5; // pixels between the lines of idle time

/** The top of a lane. */
export const laneTop = (view, lane) => view.margin + lane * (view.laneHeight + view.gap);

/** The place of a moment. */
export const xOf = (view, time) => ((time - view.from) / (view.to - view.from)) * view.width;

/** The moment at a place. */
export const timeAt = (view, x) => view.from + (x / view.width) * (view.to - view.from);

/**
 * Draw all lanes.
 *
 * @param {CanvasRenderingContext2D} context measured in CSS pixels
 * @param {object} view width, laneHeight, gap, margin (pixels), from, to (seconds), colour ("worker", "phase")
 * @param {object} colours what `coloursOf` in surface.js reads
 */
export function drawLanes(context, data, replay, view, colours) {
  const wide = [];
  replay.lanes.forEach((_, lane) => {
    drawIdle(context, replay, view, colours, lane);
    wide.push(...drawNarrow(context, data, replay, view, colours, lane));
  });
  const critical = wide.filter((task) => replay.critical[task]);
  drawHops(context, replay, view, colours);
  drawGlow(context, replay, view, colours, critical);
  for (const task of wide) drawBar(context, replay, view, colourOf(data, replay, view, colours, task), task);
  drawOutlines(context, replay, view, colours, critical);
  for (const task of wide) drawLabel(context, data, replay, view, colours, task);
}

const colourOf = (data, replay, view, colours, task) =>
  view.colour === "phase"
    ? colours.phases[phaseOf(data, replay, task)]
    : colours.workers[replay.lane[task] % colours.workers.length];

/** Left, top, width and height of a task's bar. */
export function barOf(replay, view, task) {
  const left = xOf(view, replay.start[task]);
  const right = xOf(view, replay.end[task]);
  return [left, laneTop(view, replay.lane[task]), right - left, view.laneHeight];
}

/** The whole lane is hatched; the bars cover what is not idle. */
function drawIdle(context, replay, view, colours, lane) {
  const top = laneTop(view, lane);
  const left = Math.max(0, xOf(view, 0));
  const right = Math.min(view.width, xOf(view, replay.length));
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, view.laneHeight);
  context.clip();
  context.fillStyle = colours.lane;
  context.fill();
  context.beginPath();
  for (let x = left - view.laneHeight; x < right; x += HATCH) {
    context.moveTo(x, top + view.laneHeight);
    context.lineTo(x + view.laneHeight, top);
  }
  context.strokeStyle = colours.hatch;
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

/** Draw a lane's narrow tasks as columns, as high as the share of the time they take; return the wide ones. */
function drawNarrow(context, data, replay, view, colours, lane) {
  const { tasks } = replay.lanes[lane];
  const columns = Math.ceil(view.width);
  const shares = new Map(); // colour -> its share of each column
  const onPath = new Uint8Array(columns);
  const wide = [];
  const first = countUpTo(tasks.length, (index) => replay.end[tasks[index]], view.from);
  for (let index = first; index < tasks.length && replay.start[tasks[index]] < view.to; index++) {
    const task = tasks[index];
    const left = xOf(view, replay.start[task]);
    const right = xOf(view, replay.end[task]);
    if (right - left >= WIDE) {
      wide.push(task);
      continue;
    }
    const colour = colourOf(data, replay, view, colours, task);
    if (!shares.has(colour)) shares.set(colour, new Float32Array(columns));
    const share = shares.get(colour);
    for (let x = Math.max(0, Math.floor(left)); x < Math.min(columns, Math.ceil(right)); x++) {
      share[x] += Math.min(right, x + 1) - Math.max(left, x);
      if (replay.critical[task]) onPath[x] = 1;
    }
  }
  drawColumns(context, view, laneTop(view, lane) + view.laneHeight, shares);
  drawCriticalColumns(context, view, colours, laneTop(view, lane), onPath);
  return wide;
}

function drawColumns(context, view, bottom, shares) {
  const filled = new Float32Array(Math.ceil(view.width));
  for (const [colour, share] of shares) {
    context.fillStyle = colour;
    share.forEach((part, x) => {
      if (!part) return;
      const height = Math.min(1 - filled[x], Math.max(part, 0.08)) * view.laneHeight;
      context.fillRect(x, bottom - filled[x] * view.laneHeight - height, 1, height);
      filled[x] += height / view.laneHeight;
    });
  }
}

/** Merged tasks have no outline of their own: the critical path is a line along the lane's top. */
function drawCriticalColumns(context, view, colours, top, onPath) {
  onPath.forEach((is, x) => {
    if (!is) return;
    context.fillStyle = colours.glow;
    context.fillRect(x, top - 2, 1, 4);
    context.fillStyle = colours.critical;
    context.fillRect(x, top - 0.5, 1, 1);
  });
}

function drawGlow(context, replay, view, colours, tasks) {
  context.save();
  context.shadowColor = colours.glow;
  context.shadowBlur = 7 * view.density;
  context.strokeStyle = colours.glow;
  context.lineWidth = 3;
  for (const task of tasks) {
    const [left, top, width, height] = barOf(replay, view, task);
    context.strokeRect(left, top, Math.max(1, width - 1), height);
  }
  context.restore();
}

function drawBar(context, replay, view, colour, task) {
  const [left, top, width, height] = barOf(replay, view, task);
  context.fillStyle = colour;
  context.fillRect(left, top, width > 4 ? width - 1 : width - 0.5, height);
}

function drawOutlines(context, replay, view, colours, tasks) {
  context.strokeStyle = colours.critical;
  context.lineWidth = 1;
  for (const task of tasks) {
    const [left, top, width, height] = barOf(replay, view, task);
    context.strokeRect(left + 0.5, top + 0.5, Math.max(0.5, width - 2), height - 1);
  }
}

/** Lines from the end of a critical task to the start of the next; bars cover them. */
function drawHops(context, replay, view, colours) {
  context.beginPath();
  const middle = (task) => laneTop(view, replay.lane[task]) + view.laneHeight / 2;
  for (let index = 1; index < replay.path.length; index++) {
    const [before, after] = [replay.path[index - 1], replay.path[index]];
    const [from, to] = [xOf(view, replay.end[before]), xOf(view, replay.start[after])];
    if (to < 0 || from > view.width || (middle(before) === middle(after) && to - from < 2)) continue;
    context.moveTo(from, middle(before));
    context.lineTo(to, middle(after));
  }
  for (const [colour, width, alpha] of [
    [colours.glow, 4, 0.45],
    [colours.critical, 1, 0.9],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.globalAlpha = alpha;
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** The name, in the part of the bar that is in view, if it fits. */
function drawLabel(context, data, replay, view, colours, task) {
  const [left, top, width, height] = barOf(replay, view, task);
  const from = Math.max(0, left);
  const room = Math.min(view.width, left + width) - from - 7;
  if (room < LABELLED - 7 || height < 12) return;
  const text = fitting(context, taskName(data, replay, task), room);
  context.fillStyle = colours.onBar;
  context.fillText(text, from + 3, top + height / 2 + 0.5);
}

function fitting(context, text, room) {
  const longest = text.slice(0, Math.floor(room / 3));
  if (longest === text && context.measureText(text).width <= room) return text;
  const cut = countUpTo(
    longest.length,
    (length) => context.measureText(`${longest.slice(0, length + 1)}…`).width,
    room,
  );
  return cut > 1 ? `${longest.slice(0, cut)}…` : "";
}
