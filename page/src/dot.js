/**
 * One band of the picture as text for Graphviz, and Graphviz's answer read back.
 *
 * A band is all boxes of one phase. Ids are synthetic and labels stay out, so no name reaches Graphviz. Columns
 * are `rank=same` groups, held in order by a chain of unseen nodes `c0 -> c1 -> ...`; an arrow that runs to the
 * left is written from head to tail, else it would break the columns up.
 */

const INCH = 72;
const inches = (pixels) => (pixels / INCH).toFixed(3);

/**
 * @typedef {object} Band
 * @property {import("./boxes.js").Box[]} boxes
 * @property {import("./boxes.js").Arrow[]} arrows those that Graphviz is to route
 * @property {Int32Array} column by box
 * @property {{width: number, height: number}[]} sizes by box, in pixels
 * @property {number[]} widths by column, in pixels
 */

/** @param {Band} band */
export function dotOf({ boxes, arrows, column, sizes, widths }) {
  const large = boxes.length > 250;
  const lines = [
    "digraph {",
    "graph [rankdir=LR, newrank=true, nodesep=0.17, ranksep=0.36, splines=true" +
      `${large ? ", nslimit=1, nslimit1=1, mclimit=0.3" : ", mclimit=2"}];`,
    'node [shape=box, fixedsize=true, label=""];',
    "edge [dir=none];",
    ...widths.map((width, c) => `c${c} [width=${inches(width)}, height=0.01];`),
    ...widths.slice(1).map((_, c) => `c${c} -> c${c + 1} [style=invis, weight=0];`),
    ...clusters(boxes, sizes),
  ];
  const members = new Map(widths.map((_, c) => [c, [`c${c}`]]));
  for (const { index } of boxes) members.get(column[index]).push(`n${index}`);
  for (const ids of members.values()) lines.push(`{rank=same; ${ids.join("; ")}}`);
  for (const { source, target, weight } of arrows) {
    const distance = column[target] - column[source];
    const [from, to] = distance < 0 ? [target, source] : [source, target];
    const ports = distance ? ", tailport=e, headport=w" : "";
    lines.push(`n${from} -> n${to} [weight=${weight ?? 1}${ports}];`);
  }
  lines.push("}");
  return lines.join("\n");
}

/** The boxes, each inside the clusters of its frames. */
function clusters(boxes, sizes) {
  const root = { inside: new Map(), boxes: [] };
  for (const box of boxes) {
    let at = root;
    for (const frame of box.frames) {
      if (!at.inside.has(frame.path)) at.inside.set(frame.path, { inside: new Map(), boxes: [] });
      at = at.inside.get(frame.path);
    }
    at.boxes.push(box);
  }
  let count = 0;
  const text = ({ inside, boxes: own }) => [
    ...own.map(({ index }) => {
      const { width, height } = sizes[index];
      return `n${index} [width=${inches(width)}, height=${inches(height)}];`;
    }),
    ...[...inside.values()].flatMap((each) => [
      `subgraph cluster_${count++} { margin=13;`,
      ...text(each),
      "}",
    ]),
  ];
  return text(root);
}

/**
 * Reads Graphviz's "plain" format, with y downwards and in pixels.
 * @returns {{columns: number[], places: Map<number, {x: number, y: number}>, curves: Map<string, number[][]>}}
 *   centres of columns and boxes, and the control points of each arrow, from its source on, by "source,target"
 */
export function placesOf(plain, arrows) {
  const places = new Map();
  const columns = [];
  const routed = new Map();
  for (const line of plain.replaceAll("\\\n", "").split("\n")) {
    const words = line.split(" ");
    if (words[0] === "node") {
      const [x, y] = [Number(words[2]) * INCH, -Number(words[3]) * INCH];
      if (words[1][0] === "c") columns[Number(words[1].slice(1))] = x;
      else places.set(Number(words[1].slice(1)), { x, y });
    } else if (words[0] === "edge" && words[1][0] === "n") {
      const numbers = words.slice(4, 4 + 2 * Number(words[3])).map((word) => Number(word) * INCH);
      const points = [];
      for (let i = 0; i < numbers.length; i += 2) points.push([numbers[i], -numbers[i + 1]]);
      routed.set(`${words[1]},${words[2]}`, points);
    }
  }
  const curves = new Map();
  for (const { source, target } of arrows) {
    const along = routed.get(`n${source},n${target}`);
    const points = along ?? routed.get(`n${target},n${source}`)?.toReversed();
    if (points) curves.set(`${source},${target}`, points);
  }
  return { columns, places, curves };
}
