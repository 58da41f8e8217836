/**
 * The graph of the page: the columns of the data with readers, labels and order of derivation.
 *
 * What computes nothing is not seen: items of a node with several results (their readers read the node
 * itself) and scalar constants (they stand in their readers' labels).
 */

import { dims, nameEnd, plural, shortened, specText } from "./labels.js";

/** @typedef {"forward"|"backward"|"update"} Phase */
export const PHASES = /** @type {Phase[]} */ (["forward", "backward", "update"]);

/**
 * @typedef {object} Model
 * @property {object} data as it stands in the page
 * @property {number} count number of nodes, also of those that are not seen
 * @property {(i: number) => {name: string, family: string, rule: string|null}} op
 * @property {(i: number) => Phase} phase
 * @property {(i: number) => string[]} scope names from outside
 * @property {(i: number) => string} name as the user gave it; ""
 * @property {(i: number) => string} title shortest text that says which node it is
 * @property {(i: number) => string} label op or name, and shape
 * @property {(i: number) => string[]} lines the same as the lines of a box
 * @property {(i: number) => string} spec dtype and shape
 * @property {(i: number) => boolean} isSource whether it is an input or a constant
 * @property {(i: number) => boolean} isSum whether it adds the gradients of several readers
 * @property {(i: number) => number} gradients how many gradients such a node adds up
 * @property {Int32Array} seenAs for each node the seen one that stands for it; -1 for scalar constants
 * @property {number[][]} reads for each node the seen nodes it reads, each once
 * @property {number[][]} readers for each node the seen nodes that read it, each once
 * @property {number[]} seen all seen nodes, in order
 * @property {number[]} derived the backward nodes, in the order in which the derivation makes them
 * @property {Map<number, string>} results names of the outputs
 * @property {Map<number, number>} gradientOf for a node the backward node that is its gradient
 */

/** @returns {Model} */
export function modelOf(data) {
  const { nodes, ops, scopes, specs } = data;
  const count = nodes.op.length;
  const families = ops.map((op) => op.family);
  const kind = (i) => ops[nodes.op[i]].name;
  const isStructure = (i) => families[nodes.op[i]] === "structure";
  const isInput = (i) => isStructure(i) && kind(i) === "input";
  const isConstant = (i) => isStructure(i) && kind(i) === "constant";
  const isItem = (i) => isStructure(i) && kind(i) === "item" && nodes.inputs[i].length > 0;
  const isScalar = (i) => specs[nodes.spec[i]]?.shape?.length === 0;

  const seenAs = new Int32Array(count);
  const reads = Array.from({ length: count }, () => []);
  const readers = Array.from({ length: count }, () => []);
  const seen = [];
  for (let i = 0; i < count; i++) {
    seenAs[i] = isItem(i) ? seenAs[nodes.inputs[i][0]] : isConstant(i) && isScalar(i) ? -1 : i;
    reads[i] = [...new Set(nodes.inputs[i].map((j) => seenAs[j]).filter((j) => j >= 0))];
    if (seenAs[i] !== i) continue;
    seen.push(i);
    for (const j of reads[i]) readers[j].push(i);
  }

  const inputLabels = new Map(data.inputs.map(({ node, label }) => [node, label]));
  const results = new Map(data.outputs.map(({ node, label }) => [seenAs[node], label]));
  const name = (i) => inputLabels.get(i) || nodes.name[i] || "";
  const phase = (i) => PHASES[nodes.phase[i]];

  const applied = (i) => {
    const words = nodes.inputs[i].map((j) =>
      seenAs[j] < 0 ? shortened(nodes.constant?.[j] ?? "·", 8) : "·",
    );
    return words.every((word) => word === "·") ? kind(i) : `${kind(i)}(${words.join(", ")})`;
  };
  const isKeyed = (i) => families[nodes.op[i]] === "python" && name(i) && name(i) !== kind(i);
  const title = (i) => {
    if (isInput(i)) return nameEnd(name(i) || "input");
    if (results.has(i) && phase(i) !== "forward") return nameEnd(results.get(i));
    return shortened(isKeyed(i) ? name(i) : kind(i), 30);
  };
  const isSum = (i) =>
    phase(i) === "backward" && kind(i) === "add" && nodes.inputs[i].every((j) => phase(j) === "backward");
  /** How many gradients a sum adds up, with the sums of the same value that it reads. */
  const summed = new Map();
  const gradients = (i) => {
    const parts = nodes.inputs[i].map((j) =>
      nodes.gradOf[j] === nodes.gradOf[i] ? (summed.get(j) ?? 1) : 1,
    );
    return parts.reduce((sum, part) => sum + part, 0);
  };
  for (const i of seen) if (isSum(i)) summed.set(i, gradients(i));

  /** What a box says: the name if there is one, the operation, the shape, in one or two lines. */
  const lines = (i) => {
    const shape = dims(specs[nodes.spec[i]]);
    if (isInput(i)) return [title(i), shape].filter(Boolean);
    const given = results.has(i) && phase(i) !== "forward" ? results.get(i) : isKeyed(i) ? name(i) : "";
    const work = isSum(i) ? `Σ ${plural(summed.get(i), "gradient")}` : shortened(applied(i), 24);
    return (
      given
        ? [isKeyed(i) ? shortened(given, 24) : nameEnd(given), `= ${work} ${shape}`.trim()]
        : [work, shape]
    ).filter(Boolean);
  };

  return {
    data,
    count,
    op: (i) => ops[nodes.op[i]],
    phase,
    scope: (i) => scopes[nodes.scope[i]],
    name,
    title,
    lines,
    label: (i) => lines(i).join(" "),
    spec: (i) => specText(specs[nodes.spec[i]]),
    isSource: (i) => isInput(i) || isConstant(i),
    isSum,
    gradients,
    seenAs,
    reads,
    readers,
    seen,
    derived: seen.filter((i) => nodes.phase[i] === 1 && !isStructure(i)),
    results,
    gradientOf: new Map(Object.entries(data.gradients ?? {}).map(([i, j]) => [Number(i), j])),
  };
}
