/** Numbers and names in few characters. */

/** `text` with what is too long cut by an ellipsis. */
export const shortened = (text, longest = 28) => {
  const signs = [...text.slice(0, 2 * longest + 2)]; // whole code points
  return signs.length <= longest ? text : signs.slice(0, longest - 1).join("") + "…";
};

/** A name of parts, `state.blocks.0.bias`, of which the last say most: the end of it. */
export const nameEnd = (text, longest = 24) => {
  const signs = [...text.slice(-2 * longest - 2)];
  if (signs.length <= longest) return text;
  const end = signs.slice(1 - longest).join("");
  return "…" + (end.includes(".") ? end.slice(end.indexOf(".") + 1) : end);
};

/** A number with at most four digits: 0.0012, 3.142, 1.2e+7. */
export function number(value) {
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

/** A whole number with its thousands apart: 20,000. */
export const counted = (value) => value.toLocaleString("en-GB");

/** `1 node`, `2 nodes`. */
export const plural = (value, noun, nouns = noun + "s") => `${counted(value)} ${value === 1 ? noun : nouns}`;

/** A quantity with a prefix: `quantity(2.1e6, "flop")` is 2.1 Mflop. */
export function quantity(value, unit) {
  const prefixes = ["", "k", "M", "G", "T", "P"];
  let power = 0;
  while (Math.abs(value) >= 999.5 && power < prefixes.length - 1) {
    value /= 1000;
    power += 1;
  }
  return `${Number(value.toPrecision(3))} ${prefixes[power]}${unit}`;
}

/** A time: 12.3 µs, 4.5 ms, 1.2 s. */
export function duration(seconds) {
  const [factor, unit] = seconds < 1e-3 ? [1e6, "µs"] : seconds < 1 ? [1e3, "ms"] : [1, "s"];
  return `${Number((seconds * factor).toPrecision(3))} ${unit}`;
}

/** A shape as 32×128; nothing for a scalar. */
export const dims = (spec) => (spec && spec.shape ? spec.shape.join("×") : "");

/** A shape and dtype as float64[32, 128]. */
export function specText(spec) {
  if (!spec) return "a Python object";
  if (spec.parts) return `(${spec.parts.map(specText).join(", ")})`;
  return `${spec.dtype}[${spec.shape.join(", ")}]`;
}
