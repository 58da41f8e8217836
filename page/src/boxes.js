/**
 * What is drawn of a graph for a set of unfolded groups: boxes, and arrows between them.
 *
 * A box is one node, or all nodes of one folded group and phase, or several inputs that the same boxes read.
 */

import { PHASES } from "./model.js";
import { nameEnd, plural, shortened } from "./labels.js";
import { enclosing } from "./tree.js";

/** @typedef {import("./model.js").Model} Model */
/** @typedef {import("./tree.js").Tree} Tree */

/**
 * @typedef {object} Box
 * @property {number} index its place in the picture's boxes
 * @property {"op"|"fold"|"input"} kind
 * @property {import("./model.js").Phase} phase
 * @property {number[]} nodes
 * @property {string|null} path of the folded group
 * @property {import("./tree.js").Group[]} frames the unfolded groups around it, from outside
 * @property {string[]} lines
 * @property {""|"loss"|"sum"|"result"|"parameter"} role
 * @property {number} twin the box of its forward twin; -1 without one
 */

/**
 * @typedef {object} Arrow
 * @property {number} source a box
 * @property {number} target a box
 * @property {boolean} saved whether backward reads forward's value
 * @property {number} values how many values flow
 */

/**
 * @typedef {object} Picture
 * @property {Box[]} boxes
 * @property {Arrow[]} arrows
 * @property {Int32Array} boxOf for each node its box; -1 for what is not drawn
 */

const MOST_INPUTS = 12; // of more, those that go the same ways share a box
const MOST_INPUT_BOXES = 40;
const LOOKS_LIKE = { backward: "∇", forward: "", update: "" };

/**
 * @param {Model} model
 * @param {Tree} tree
 * @param {Set<string>} open paths of the unfolded groups
 * @returns {Picture}
 */
export function pictureOf(model, tree, open) {
  const boxes = [];
  const boxOf = new Int32Array(model.count).fill(-1);
  const add = (box) => {
    box.index = boxes.push(box) - 1;
    for (const i of box.nodes) boxOf[i] = box.index;
  };
  for (const group of shownGroups(tree, open)) {
    for (const child of group.children) {
      if (typeof child === "number") add(nodeBox(model, child, group));
      else if (!open.has(child.path)) for (const box of foldBoxes(model, child)) add(box);
    }
  }
  for (const box of inputBoxes(model, boxOf)) add(box);
  boxes.sort((a, b) => a.nodes[0] - b.nodes[0]);
  boxes.forEach((box, index) => {
    box.index = index;
    for (const i of box.nodes) boxOf[i] = index;
  });
  for (let i = 0; i < model.count; i++)
    if (boxOf[i] < 0 && model.seenAs[i] >= 0) boxOf[i] = boxOf[model.seenAs[i]];
  findTwins(model, boxes, boxOf);
  return { boxes, arrows: arrowsOf(model, boxes, boxOf), boxOf };
}

function shownGroups(tree, open) {
  const shown = [tree.root];
  for (const group of shown) {
    for (const child of group.children)
      if (typeof child === "object" && open.has(child.path)) shown.push(child);
  }
  return shown;
}

function nodeBox(model, i, group) {
  const role = i === model.data.loss ? "loss" : model.isSum(i) ? "sum" : model.results.has(i) ? "result" : "";
  const lines = model.lines(i);
  return {
    kind: "op",
    phase: model.phase(i),
    nodes: [i],
    path: null,
    frames: enclosing(group),
    lines,
    role,
    twin: -1,
  };
}

/** The boxes of a folded group: one a phase. */
function foldBoxes(model, group) {
  const members = { forward: [], backward: [], update: [] };
  const inside = [group];
  for (const each of inside) {
    for (const child of each.children) {
      if (typeof child === "object") inside.push(child);
      else members[model.phase(child)].push(child);
    }
  }
  return PHASES.filter((phase) => members[phase].length).map((phase) => {
    const nodes = members[phase].sort((a, b) => a - b);
    const role = nodes.includes(model.data.loss) ? "loss" : group.kind === "sum" ? "sum" : "";
    if (role === "sum") return sumBox(model, group, nodes);
    const lines = [LOOKS_LIKE[phase] + shortened(group.name, 30), plural(nodes.length, "op")];
    return {
      kind: "fold",
      phase,
      nodes,
      path: group.path,
      frames: enclosing(group.parent),
      lines,
      role,
      twin: -1,
    };
  });
}

/** All additions that sum the gradients of one value. */
function sumBox(model, group, nodes) {
  const lines = [group.name.replace("Σ ", ""), `= Σ ${plural(model.gradients(nodes.at(-1)), "gradient")}`];
  return {
    kind: "fold",
    phase: "backward",
    nodes,
    path: group.path,
    frames: enclosing(group.parent),
    lines,
    role: "sum",
    twin: -1,
  };
}

/** Inputs and constants: each by itself if they are few, else those together that the same boxes read. */
function inputBoxes(model, boxOf) {
  const sources = model.seen.filter((i) => model.isSource(i) && model.readers[i].length);
  const idle = model.seen.filter((i) => model.isSource(i) && !model.readers[i].length && model.name(i));
  if (sources.length + idle.length <= MOST_INPUTS)
    return [...sources, ...idle].map((i) => inputBox(model, [i]));
  const keys = [
    (i) => [...new Set(forwardReaders(model, i).map((j) => boxOf[j]))].sort().join(),
    (i) => boxOf[model.readers[i][0]],
    () => "",
  ];
  for (const key of keys) {
    const alike = Map.groupBy(sources, (i) => `${stem(model, i)} ${key(i)}`);
    if (idle.length) alike.set("idle", idle);
    if (alike.size <= MOST_INPUT_BOXES || key === keys.at(-1)) {
      return [...alike.values()].map((nodes) => inputBox(model, nodes));
    }
  }
}

/** What decides where an input stands: who reads it in the pass it belongs to. */
function forwardReaders(model, i) {
  const forward = model.readers[i].filter((j) => model.phase(j) === "forward");
  return forward.length ? forward : model.readers[i];
}

const stem = (model, i) => model.name(i).split(".")[0];

function inputBox(model, nodes) {
  const first = nodes[0];
  const isParameter = nodes.some((i) => model.gradientOf.has(i));
  const levels = nodes.map((i) => model.name(i).split("."));
  let common = 0;
  while (common < levels[0].length - 1 && levels.every((names) => names[common] === levels[0][common]))
    common++;
  const name = levels[0].slice(0, common).join(".") || (levels[0].length === 1 ? "" : levels[0][0]);
  const kind = model.op(first).name === "constant" ? "constant" : "input";
  const lines =
    nodes.length === 1
      ? model.lines(first)
      : [name ? nameEnd(name) : plural(nodes.length, kind), ...(name ? [plural(nodes.length, kind)] : [])];
  const role = isParameter ? "parameter" : "";
  return { kind: "input", phase: model.phase(first), nodes, path: null, frames: [], lines, role, twin: -1 };
}

/** The twin of a box: that which holds most of the nodes whose gradient rules made it. */
function findTwins(model, boxes, boxOf) {
  const { gradOf } = model.data.nodes;
  for (const box of boxes) {
    if (box.phase === "forward") continue;
    const votes = new Map();
    for (const i of box.nodes) {
      const twin = gradOf[i] >= 0 ? boxOf[gradOf[i]] : -1;
      if (twin >= 0 && twin !== box.index) votes.set(twin, (votes.get(twin) ?? 0) + 1);
    }
    const best = Math.max(...votes.values());
    const same = [...votes.keys()].find((twin) => boxes[twin].path === box.path && box.path !== null);
    box.twin = same ?? [...votes.keys()].find((twin) => votes.get(twin) === best) ?? -1;
  }
}

/**
 * One arrow for each pair of boxes between which values flow.
 *
 * What its forward twin has read already, a folded box gets from the twin: that keeps arrows short.
 */
function arrowsOf(model, boxes, boxOf) {
  const readBy = new Map();
  for (const box of boxes) {
    if (box.kind === "fold" && box.phase === "forward") {
      readBy.set(box.index, new Set(box.nodes.flatMap((i) => model.reads[i])));
    }
  }
  const found = new Map();
  for (const box of boxes) {
    const kept = box.kind === "fold" ? readBy.get(box.twin) : undefined;
    for (const i of box.nodes) {
      for (const value of model.reads[i]) {
        const source = kept?.has(value) ? box.twin : boxOf[value];
        if (source < 0 || source === box.index) continue;
        const key = source * boxes.length + box.index;
        const arrow = found.get(key);
        if (arrow) arrow.all.add(value);
        else found.set(key, { source, target: box.index, all: new Set([value]) });
      }
    }
  }
  return [...found.values()].map(({ source, target, all }) => {
    const saved = boxes[source].phase === "forward" && boxes[target].phase !== "forward";
    return { source, target, saved, values: all.size };
  });
}
