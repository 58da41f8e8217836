/**
 * The lines that Graphviz does not route: from an input along its row and down to a reader, from a gradient
 * down and along the row of its sum, from forward to backward, and across many columns.
 */

const RADIUS = 9; // pixels of a rounded corner
const ASIDE = 0.24; // of a box's height: beside the middle of its side, where the main flow comes and goes
const point = (x, y) => `${x.toFixed(1)},${y.toFixed(1)}`;

/**
 * @param {import("./boxes.js").Arrow} arrow
 * @param {import("./boxes.js").Picture} picture
 * @param {{x: number, y: number, width: number, height: number}[]} places
 * @param {{left: number, right: number, x: number}[]} edges of the columns
 * @param {Int32Array} column
 * @param {(box: import("./boxes.js").Box) => boolean} isSum whether a box stands on the lower edge
 * @returns {string} an SVG path
 */
export function wayOf({ source, target }, { boxes }, places, edges, column, isSum) {
  const from = places[source];
  const to = places[target];
  if (boxes[source].kind === "input") return downTo(from, to, edges[column[target]], source);
  if (isSum(boxes[target])) return toEdge(from, to, edges[column[source]], target);
  if (boxes[source].phase === boxes[target].phase) return across(from, to, boxes[source].phase);
  return between(from, to);
}

/** Along the input's row, down beside the reader's column, into the reader's side. */
function downTo(from, to, edge, source) {
  const start = from.x + from.width / 2;
  const beside = Math.max(edge.left - 12 - (source % 4) * 3, start + 2);
  const way = beside <= to.x ? 1 : -1; // into the left side, or from the right into the right side
  const [end, y] = [to.x - (way * to.width) / 2, to.y - ASIDE * to.height];
  const r = Math.min(RADIUS, beside - start, Math.abs(y - from.y) / 2, Math.abs(end - beside));
  return (
    `M${point(start, from.y)}H${(beside - r).toFixed(1)}Q${point(beside, from.y)} ${point(beside, from.y + r)}` +
    `V${(y - r).toFixed(1)}Q${point(beside, y)} ${point(beside + way * r, y)}H${end.toFixed(1)}`
  );
}

/** Out of a box's left side, down beside its column, along the sum's row to the left. */
function toEdge(from, to, edge, target) {
  const end = to.x + to.width / 2;
  const beside = Math.max(edge.left - 12 - (target % 4) * 3, end + 2);
  const [start, y] = [from.x - from.width / 2, from.y + ASIDE * from.height];
  const r = Math.min(RADIUS, Math.abs(start - beside), Math.abs(to.y - y) / 2, beside - end);
  return (
    `M${point(start, y)}H${(beside + r).toFixed(1)}Q${point(beside, y)} ${point(beside, y + r)}` +
    `V${(to.y - r).toFixed(1)}Q${point(beside, to.y)} ${point(beside - r, to.y)}H${end.toFixed(1)}`
  );
}

/** A flat arc within a band, above the boxes forward and below them backward. */
function across(from, to, phase) {
  const way = to.x >= from.x ? 1 : -1;
  const [x1, x2] = [from.x + (way * from.width) / 2, to.x - (way * to.width) / 2];
  const bend = Math.min(120, Math.abs(x2 - x1) / 3);
  const rise = (phase === "forward" ? -1 : 1) * Math.min(60, Math.abs(x2 - x1) / 12);
  return `M${point(x1, from.y)}C${point(x1 + way * bend, from.y + rise)} ${point(x2 - way * bend, to.y + rise)} ${point(x2, to.y)}`;
}

/** From the lower side of a box to the upper side of one in a band below, or the other way round. */
function between(from, to) {
  const way = to.y >= from.y ? 1 : -1;
  const [y1, y2] = [from.y + (way * from.height) / 2, to.y - (way * to.height) / 2];
  const shift = to.x === from.x ? 0 : Math.sign(to.x - from.x) * Math.min(from.width, to.width) * 0.2;
  const bend = Math.max(18, Math.abs(y2 - y1) * 0.45);
  const [x1, x2] = [from.x + shift, to.x - shift];
  return `M${point(x1, y1)}C${point(x1, y1 + way * bend)} ${point(x2, y2 - way * bend)} ${point(x2, y2)}`;
}
