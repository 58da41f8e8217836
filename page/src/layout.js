/**
 * Where everything stands. Graphviz places the boxes of each phase by itself, in columns that all phases share;
 * the bands are then set under each other: inputs on the upper edge, forward, backward, sums of gradients,
 * update.
 *
 * Arrows inside a band are Graphviz's curves. Those from band to band, and those too long for Graphviz, are
 * drawn by `ways.js`.
 */

import { columnsOf } from "./columns.js";
import { dotOf, placesOf } from "./dot.js";
import { isOnLowerEdge, placeOnEdge } from "./edges.js";
import { PHASES } from "./model.js";
import { wayOf } from "./ways.js";

/** @typedef {import("./boxes.js").Picture} Picture */

/**
 * @typedef {object} Layout
 * @property {{x: number, y: number, width: number, height: number}[]} places by box: centre and size, in pixels
 * @property {{arrow: import("./boxes.js").Arrow, d: string, routed: boolean}[]} ways
 * @property {{group: import("./tree.js").Group, phase: string, x: number, y: number, width: number,
 *   height: number}[]} frames from outside
 * @property {{left: number, top: number, right: number, bottom: number}} bounds
 */

const BETWEEN_BANDS = 52; // pixels
const LONGEST_TOTAL = 700; // columns that all arrows given to Graphviz pass together: bounds its time
const REACH = 12; // columns that one may pass
const FRAME_PADDING = { left: 9, right: 9, bottom: 9, top: 20 };

/**
 * @param {Picture} picture
 * @param {{width: number, height: number}[]} sizes of the boxes, in pixels
 * @param {(texts: string[]) => Promise<(string|null)[]>} layOut
 * @returns {Promise<Layout>}
 */
export async function layoutOf(picture, sizes, layOut) {
  const { boxes, arrows } = picture;
  const isSum = isOnLowerEdge(picture);
  const column = columnsOf(picture);
  const inBands = boxes.filter((box) => box.kind !== "input" && !isSum(box));
  const widths = columnWidths(inBands, column, sizes);
  const bands = PHASES.map((phase) => inBands.filter((box) => box.phase === phase))
    .filter((members) => members.length)
    .map((members) => ({
      boxes: members,
      arrows: arrowsWithin(picture, members, column),
      column,
      sizes,
      widths,
    }));
  const answers = await layOut(bands.map(dotOf));
  const found = bands.map((band, i) => (answers[i] ? placesOf(answers[i], band.arrows) : inColumns(band)));

  const centres = sharedColumns(found, widths.length);
  const edges = centres.map((x, c) => ({ left: x - widths[c] / 2, right: x + widths[c] / 2, x }));
  const places = [];
  const curves = new Map();
  let top = 0;
  bands.forEach((band, i) => {
    const shift = warp(found[i].columns, centres);
    for (const [index, { x, y }] of found[i].places) places[index] = { x: shift(x), y, ...sizes[index] };
    const moved = [...found[i].curves].map(([key, points]) => [key, points.map(([x, y]) => [shift(x), y])]);
    const ys = [
      ...extents(band.boxes, places),
      ...moved.flatMap(([, points]) => points.map((point) => point[1])),
    ];
    const depth = Math.max(...band.boxes.map((box) => box.frames.length));
    const down = top + depth * FRAME_PADDING.top - Math.min(...ys);
    for (const [index] of found[i].places) places[index].y += down;
    for (const [key, points] of moved)
      curves.set(
        key,
        points.map(([x, y]) => [x, y + down]),
      );
    top = Math.max(...ys) + down + depth * FRAME_PADDING.bottom;
    if (band.boxes[0].phase === "backward") {
      const sums = boxes.filter(isSum);
      const gradients = arrows.filter(({ target }) => isSum(boxes[target]));
      if (sums.length) top = placeOnEdge(sums, top, 1, gradients, column, edges, sizes, places);
    }
    top += BETWEEN_BANDS;
  });
  const given = arrows.filter(({ source, saved }) => boxes[source].kind === "input" && !saved);
  const framed = boxes.some((box) => box.phase === "forward" && box.frames.length) ? FRAME_PADDING.top : 0;
  placeOnEdge(
    boxes.filter((box) => box.kind === "input"),
    -framed,
    -1,
    given,
    column,
    edges,
    sizes,
    places,
  );
  const frames = framesOf(boxes, places);
  const ways = arrows.map((arrow) => {
    const curve = curves.get(`${arrow.source},${arrow.target}`);
    const d = curve ? curveOf(curve) : wayOf(arrow, picture, places, edges, column, isSum);
    return { arrow, routed: Boolean(curve), d };
  });
  const isQuiet = ({ arrow }) => arrow.saved || boxes[arrow.source].kind === "input";
  ways.sort((a, b) => isQuiet(b) - isQuiet(a)); // beneath the main flow
  return { places, ways, frames, bounds: boundsOf(places, frames, [...curves.values()].flat()) };
}

function columnWidths(boxes, column, sizes) {
  const widths = [1]; // a graph of inputs only has a column as well
  for (const { index } of boxes)
    widths[column[index]] = Math.max(widths[column[index]] ?? 0, sizes[index].width);
  return Array.from(widths, (width) => width ?? 1);
}

/** The arrows inside a band, the longest left out where there is too much of them. */
function arrowsWithin({ arrows, boxes }, members, column) {
  const inside = new Set(members.map((box) => box.index));
  const length = ({ source, target }) => Math.abs(column[source] - column[target]);
  const readers = [];
  for (const { source, target } of arrows) {
    if (boxes[target].role !== "sum") readers[source] = (readers[source] ?? 0) + 1;
  }
  let total = 0;
  return arrows
    .filter((arrow) => inside.has(arrow.source) && inside.has(arrow.target) && length(arrow) <= REACH)
    .sort((a, b) => length(a) - length(b))
    .filter((arrow) => (total += length(arrow)) <= LONGEST_TOTAL + members.length)
    .map((arrow) => ({ ...arrow, weight: weightOf(arrow, length(arrow), boxes, readers) }));
}

/** Graphviz draws arrows of great weight straight: those of the chain from one box to the next. */
function weightOf({ source, target }, length, boxes, readers) {
  if (boxes[target].role === "sum" || length > 1) return 1;
  return readers[source] > 3 ? 2 : 12;
}

/** A plain layout, for what Graphviz fails on: the boxes of a column under each other. */
function inColumns({ boxes, column, sizes, widths }) {
  const columns = [];
  widths.reduce((left, width, c) => {
    columns[c] = left + width / 2;
    return left + width + 30;
  }, 0);
  const bottoms = widths.map(() => 0);
  const places = new Map();
  for (const { index } of boxes) {
    const c = column[index];
    places.set(index, { x: columns[c], y: bottoms[c] + sizes[index].height / 2 });
    bottoms[c] += sizes[index].height + 12;
  }
  return { columns, places, curves: new Map() };
}

/** Centres of the columns, so far apart as the band that needs most room says. */
function sharedColumns(found, count) {
  const centres = [0];
  for (let c = 1; c < count; c++) {
    centres[c] = centres[c - 1] + Math.max(...found.map(({ columns }) => columns[c] - columns[c - 1]));
  }
  return centres;
}

/** The map from a band's own x to the shared one: linear between the centres of columns. */
function warp(from, to) {
  return (x) => {
    let c = 0;
    while (c < from.length - 2 && x > from[c + 1]) c++;
    if (x <= from[0] || from.length < 2) return to[0] + x - from[0];
    if (x >= from.at(-1)) return to.at(-1) + x - from.at(-1);
    return to[c] + ((x - from[c]) / (from[c + 1] - from[c])) * (to[c + 1] - to[c]);
  };
}

const extents = (boxes, places) =>
  boxes.flatMap(({ index }) => {
    const { y, height } = places[index];
    return [y - height / 2, y + height / 2];
  });

/** `points` are those of Bézier curves that follow each other. */
function curveOf(points) {
  const text = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return `M${text[0]}C${text.slice(1).join(" ")}`;
}

/** The frame of each unfolded group in each phase, around its boxes and the frames inside. */
function framesOf(boxes, places) {
  const frames = new Map();
  for (const box of boxes) {
    const { x, y, width, height } = places[box.index];
    let [left, right, top, bottom] = [x - width / 2, x + width / 2, y - height / 2, y + height / 2];
    for (const group of box.frames.toReversed()) {
      const key = `${box.phase} ${group.path}`;
      left -= FRAME_PADDING.left;
      right += FRAME_PADDING.right;
      top -= FRAME_PADDING.top;
      bottom += FRAME_PADDING.bottom;
      const known = frames.get(key);
      frames.set(key, {
        group,
        phase: box.phase,
        depth: box.frames.indexOf(group),
        left: Math.min(left, known?.left ?? left),
        right: Math.max(right, known?.right ?? right),
        top: Math.min(top, known?.top ?? top),
        bottom: Math.max(bottom, known?.bottom ?? bottom),
      });
    }
  }
  return [...frames.values()]
    .sort((a, b) => a.depth - b.depth)
    .map(({ group, phase, left, right, top, bottom }) => ({
      group,
      phase,
      x: left,
      y: top,
      width: right - left,
      height: bottom - top,
    }));
}

function boundsOf(places, frames, points) {
  const corners = [
    ...points.map(([x, y]) => [x, y, x, y]),
    ...places.map(({ x, y, width, height }) => [
      x - width / 2,
      y - height / 2,
      x + width / 2,
      y + height / 2,
    ]),
    ...frames.map(({ x, y, width, height }) => [x, y, x + width, y + height]),
  ];
  const all = (i, choose) =>
    corners.reduce((found, corner) => choose(found, corner[i]), corners[0]?.[i] ?? 0);
  return { left: all(0, Math.min), top: all(1, Math.min), right: all(2, Math.max), bottom: all(3, Math.max) };
}
