/** The ticks of a time axis, and times written alike all along a run. */

const UNITS = [
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
];

const unitOf = (value) => UNITS.find(([size]) => value >= size) ?? UNITS.at(-1);

/** A time within a run of `length` seconds, in that run's unit: the digits do not jump while it passes. */
export function timeWithin(value, length) {
  const [size, unit] = unitOf(length);
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(length / size)));
  return `${(value / size).toFixed(decimals)} ${unit}`;
}

/** The largest of 1, 2, 5, 10, 20, ... times a power of ten that is at most `value`. */
function roundDown(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].find((digit) => digit * power <= value * (1 + 1e-9)) * power;
}

/**
 * Round times in [from, to], about `wanted`, and how they are written, all in one unit.
 *
 * @returns {{value: number, text: string}[]}
 */
export function ticks(from, to, wanted) {
  const step = roundDown((1.5 * (to - from)) / wanted);
  const [size, unit] = unitOf(to);
  const decimals = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
  const found = [];
  for (let index = Math.ceil(from / step - 1e-9); index * step <= to * (1 + 1e-12); index++) {
    found.push({ value: index * step, text: `${((index * step) / size).toFixed(decimals)} ${unit}` });
  }
  return found;
}
