/**
 * The column of each box: forward runs to the right, and what is derived stands in its twin's column.
 *
 * Inputs get no column here: they stand above their first readers.
 */

/** @typedef {import("./boxes.js").Picture} Picture */

const NOWHERE = -1e9;

/**
 * @param {Picture} picture
 * @returns {Int32Array} by box; inputs have that of their first reader
 */
export function columnsOf({ boxes, arrows }) {
  const before = boxes.map(() => []);
  const after = boxes.map(() => []);
  for (const { source, target } of arrows) {
    if (source >= target) continue; // a scope entered twice may wait for itself: left out, the rest has no cycle
    before[target].push(source);
    after[source].push(target);
  }
  const column = new Int32Array(boxes.length).fill(NOWHERE);
  const isWork = (box, phase) => box.kind !== "input" && box.phase === phase;
  const forward = boxes.filter((box) => isWork(box, "forward"));
  for (const { index } of forward) {
    column[index] = 1 + Math.max(-1, ...before[index].map((i) => column[i]));
  }
  pullRight(boxes, forward, before, after, column);

  const last = Math.max(0, ...column);
  for (const phase of ["backward", "update"]) {
    for (const box of boxes.filter((each) => isWork(each, phase))) {
      const made = before[box.index].filter((i) => boxes[i].phase !== "forward" && column[i] !== NOWHERE);
      const next = Math.min(last + 1, ...made.map((i) => column[i])) - 1;
      const twin = boxes[box.twin];
      const isBeside = twin && twin.kind !== "input" && twin.phase !== phase; // else twins of twins pile up
      column[box.index] = isBeside && column[box.twin] !== NOWHERE ? column[box.twin] : next;
    }
  }
  shiftToZero(boxes, column);
  for (const box of boxes) {
    if (box.kind !== "input") continue;
    const near = after[box.index].filter((i) => boxes[i].phase === box.phase);
    const readers = near.length ? near : after[box.index];
    column[box.index] = readers.length ? Math.min(...readers.map((i) => column[i])) : 0;
  }
  return column;
}

/** Moves a box as late as its readers allow, where that makes arrows shorter and no region wider. */
function pullRight(boxes, forward, before, after, column) {
  for (const box of [...forward].reverse()) {
    const readers = after[box.index].filter((i) => boxes[i].phase === "forward");
    const made = before[box.index].filter((i) => boxes[i].kind !== "input");
    const frame = box.frames.at(-1);
    if (readers.length < Math.max(made.length, 1) || readers.some((i) => boxes[i].frames.at(-1) !== frame))
      continue;
    column[box.index] = Math.max(column[box.index], Math.min(...readers.map((i) => column[i])) - 1);
  }
}

/** Gradients of inputs may stand left of all forward boxes. */
function shiftToZero(boxes, column) {
  const work = boxes.filter((box) => box.kind !== "input");
  const first = work.reduce((least, box) => Math.min(least, column[box.index]), 0);
  for (const box of work) column[box.index] -= first;
}
