/** Statistics of an array, and block means of it as a small heat map: blue below zero, orange above. */

import { h, s } from "./dom.js";
import { number } from "./labels.js";

const CELL = 12; // pixels
const BELOW = [0, 114, 178];
const ABOVE = [213, 94, 0];

/** @param {string} title @param {{min: number, max: number, mean: number, std: number, nan: number, grid: number[][]|null}} values */
export function statistics(title, values) {
  const fact = (name, text) => [h("dt", {}, name), h("dd", {}, text)];
  return h(
    "section",
    { class: "values" },
    h("h3", {}, title),
    h(
      "div",
      { class: "values-row" },
      h(
        "dl",
        {},
        ...fact("min", number(values.min)),
        ...fact("mean", number(values.mean)),
        ...fact("max", number(values.max)),
        ...fact("std", number(values.std)),
        ...(values.nan ? fact("NaN", String(values.nan)) : []),
      ),
      values.grid ? heatMap(values.grid) : null,
    ),
  );
}

/** @param {number[][]} grid */
function heatMap(grid) {
  const [rows, columns] = [grid.length, Math.max(...grid.map((row) => row.length))];
  const largest =
    grid
      .flat()
      .reduce((found, value) => (Number.isFinite(value) ? Math.max(found, Math.abs(value)) : found), 0) || 1;
  const cells = grid.flatMap((row, y) =>
    row.map((value, x) =>
      s(
        "rect",
        { x: x * CELL, y: y * CELL, width: CELL, height: CELL, fill: colourOf(value / largest) },
        s("title", {}, number(value ?? NaN)),
      ),
    ),
  );
  return s(
    "svg",
    {
      class: "heat",
      viewBox: `0 0 ${columns * CELL} ${rows * CELL}`,
      width: columns * CELL,
      height: Math.max(rows * CELL, 8),
      role: "img",
      "aria-label": `Heat map of block means, ${rows} by ${columns}, largest ${number(largest)}`,
    },
    cells,
  );
}

/** `share` of the largest absolute value, from -1 to 1. */
function colourOf(share) {
  if (!Number.isFinite(share)) return "#000";
  const full = share < 0 ? BELOW : ABOVE;
  const strength = Math.abs(share) ** 0.7; // so that small values differ as well
  return `rgb(${full.map((part) => Math.round(250 + (part - 250) * strength)).join(",")})`;
}
