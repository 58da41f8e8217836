/**
 * What stands on the edges of the picture: inputs in rows on the upper edge, above their first readers; the
 * sums of gradients, mirrored, in rows below the backward band. Each has room for its line along its row.
 */

const GAP = 14; // pixels between two boxes of a row
const ROW_GAP = 12;
const AWAY = 34; // between the rows and the nearest band
const MOST_ROWS = 14; // with more, lines may run behind boxes

/** @typedef {import("./boxes.js").Box} Box */
/** @typedef {{left: number, right: number, x: number}} Column */

/**
 * Whether a box stands on the lower edge: it sums gradients and no backward box reads the sum.
 * @param {import("./boxes.js").Picture} picture
 * @returns {(box: Box) => boolean}
 */
export function isOnLowerEdge({ boxes, arrows }) {
  const read = new Set(
    arrows.filter(({ target }) => boxes[target].phase === "backward").map(({ source }) => source),
  );
  return (box) => box.role === "sum" && !box.frames.length && !read.has(box.index);
}

/**
 * Adds the places of some boxes to `places`, in rows beside the edge `y`.
 * @param {Box[]} members
 * @param {number} y of the nearest band
 * @param {1|-1} way 1 for rows below `y`, -1 for rows above
 * @param {import("./boxes.js").Arrow[]} arrows those that run along the rows
 * @param {Int32Array} column by box
 * @param {Column[]} columns
 * @returns {number} y of the outermost side
 */
export function placeOnEdge(members, y, way, arrows, column, columns, sizes, places) {
  const ends = new Map(members.map((box) => [box.index, []]));
  for (const { source, target } of arrows) {
    ends.get(source)?.push(column[target]);
    ends.get(target)?.push(column[source]);
  }
  const wishes = members.map(({ index }) => {
    const met = ends.get(index);
    const first = columns[met.length ? Math.min(...met) : Math.max(0, column[index])];
    const last = columns[met.length ? Math.max(...met) : 0];
    const right = (first?.left ?? 0) - 18;
    return { index, left: right - sizes[index].width, right, reach: Math.max(right, last?.left ?? 0) };
  });
  wishes.sort((a, b) => a.left - b.left || a.reach - b.reach);
  let rows = rowsOf(wishes);
  if (rows.length > MOST_ROWS) rows = rowsOf(wishes.map((wish) => ({ ...wish, reach: wish.right })));
  let at = y + way * AWAY;
  for (const row of rows) {
    const height = Math.max(...row.map(({ index }) => sizes[index].height));
    for (const { index, left } of row) {
      places[index] = { x: left + sizes[index].width / 2, y: at + (way * height) / 2, ...sizes[index] };
    }
    at += way * (height + ROW_GAP);
  }
  return at;
}

/** Each box in the first row with room from its own place to the farthest end of its line. */
function rowsOf(wishes) {
  const rows = [];
  for (const wish of wishes) {
    let row = rows.find((each) => each.at(-1).reach + GAP <= wish.left);
    if (!row) rows.push((row = []));
    row.push(wish);
  }
  return rows;
}
