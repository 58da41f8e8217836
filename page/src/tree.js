/**
 * The tree of groups: scopes in scopes, and where one has too many children, parts of it.
 *
 * A group holds nodes of every phase, so a region unfolds forward and backward at once. Its path is its name
 * in the state. Three kinds of groups are not scopes: `cell[8…127]` holds the numbered scopes that are not
 * drawn by themselves, `part 2 of 9` some of the nodes of a scope with very many, and `Σ ∇w` the additions
 * that sum all gradients of `w`.
 */

import { shortened } from "./labels.js";

/** @typedef {import("./model.js").Model} Model */

/**
 * @typedef {object} Group
 * @property {string} path unique; "" for the root
 * @property {string} name what its box says
 * @property {Group|null} parent
 * @property {(Group|number)[]} children groups and nodes, in the order of the graph
 * @property {number} size nodes in it, at any depth
 * @property {"scope"|"rest"|"part"|"sum"} kind
 */

/**
 * @typedef {object} Tree
 * @property {Group} root
 * @property {Map<string, Group>} groups by path
 * @property {Group[]} groupOf for each seen node the innermost group that holds it
 */

const MOST_CHILDREN = 48; // boxes of one phase that a group shows when it is unfolded
const MOST_PARTS = 32;
const NUMBERED = /^(.*)\[(\d+)\]$/;

/**
 * @param {Model} model
 * @param {number} steps how many scopes of a numbered family are drawn by themselves
 * @returns {Tree}
 */
export function treeOf(model, steps) {
  const root = group("", "", null);
  const groups = new Map([["", root]]);
  const groupOf = [];
  for (const i of model.seen) {
    if (model.isSource(i)) continue;
    let at = root;
    for (const name of model.scope(i)) at = entered(groups, at, name);
    at.children.push(i);
    groupOf[i] = at;
  }
  for (const each of [...groups.values()]) foldSums(model, each, groups, groupOf);
  for (const each of [...groups.values()]) foldFamilies(each, steps, groups);
  for (const each of [...groups.values()]) foldParts(model, each, groups, groupOf);
  measure(root);
  return { root, groups, groupOf };
}

/** How many scopes the longest numbered family has; 0 without one. @param {string[][]} scopes */
export function longestFamily(scopes) {
  const families = new Map();
  for (const path of scopes) {
    path.forEach((name, depth) => {
      const found = NUMBERED.exec(name);
      if (!found) return;
      const family = JSON.stringify([...path.slice(0, depth), found[1]]);
      families.set(family, (families.get(family) ?? new Set()).add(name));
    });
  }
  return [...families.values()].reduce((longest, names) => Math.max(longest, names.size), 0);
}

const group = (path, name, parent, kind = "scope") => ({ path, name, parent, children: [], size: 0, kind });

function push(lists, key, value) {
  if (lists.has(key)) lists.get(key).push(value);
  else lists.set(key, [value]);
}

function entered(groups, parent, name) {
  const path = parent.path ? `${parent.path}/${name}` : name;
  if (!groups.has(path)) {
    const made = group(path, name, parent);
    groups.set(path, made);
    parent.children.push(made);
  }
  return groups.get(path);
}

/** Puts the additions that together sum the gradients of one value into one group. */
function foldSums(model, parent, groups, groupOf) {
  const { gradOf } = model.data.nodes;
  const sums = Map.groupBy(
    parent.children.filter((child) => typeof child === "number" && model.isSum(child)),
    (i) => gradOf[i],
  );
  for (const [value, members] of sums) {
    if (value < 0 || members.length < 2) continue;
    const name = `Σ ∇${model.title(value)}`;
    const made = group(`${parent.path}/${name} ${value}`.replace(/^\//, ""), name, parent, "sum");
    adopt(parent, members, made, groups);
    for (const i of members) groupOf[i] = made;
  }
}

/** Puts the later scopes of each numbered family into one group. */
function foldFamilies(parent, steps, groups) {
  const families = new Map();
  for (const child of parent.children) {
    const found = typeof child === "object" && NUMBERED.exec(child.name);
    if (found) push(families, found[1], child);
  }
  for (const [base, members] of families) {
    if (members.length < steps + 2) continue; // one box for one scope would save nothing
    const rest = members.slice(steps);
    const [first, last] = [rest[0], rest.at(-1)].map((member) => NUMBERED.exec(member.name)[2]);
    const name = `${base}[${first}…${last}]`;
    adopt(parent, rest, group(parent.path ? `${parent.path}/${name}` : name, name, parent, "rest"), groups);
  }
}

/** Replaces `members` among the children of `parent` by one group that holds them. */
function adopt(parent, members, made, groups) {
  const inside = new Set(members);
  const place = parent.children.indexOf(members[0]);
  parent.children = parent.children.flatMap((child, i) =>
    i === place ? [made] : inside.has(child) ? [] : [child],
  );
  made.children = members;
  for (const member of members) if (typeof member === "object") member.parent = made;
  groups.set(made.path, made);
}

/**
 * Cuts the children of a group into parts, and these again, until none has more than fit.
 *
 * A part is a run of the forward children in the order of the graph, so no two parts wait for each other;
 * a backward node goes where its forward twin is.
 */
function foldParts(model, parent, groups, groupOf) {
  const leaders = [];
  const sums = []; // read by nobody here: they stay outside of the parts
  const followers = new Map();
  const inside = new Set(parent.children);
  for (const child of parent.children) {
    const twin = typeof child === "number" ? model.data.nodes.gradOf[child] : -1;
    if (twin >= 0 && inside.has(twin)) push(followers, twin, child);
    else if (child.kind === "sum" && sums.length < MOST_CHILDREN / 2) sums.push(child);
    else leaders.push(child);
  }
  if (leaders.length <= MOST_CHILDREN) return;
  const follow = (child) => [child, ...(followers.get(child) ?? []).flatMap(follow)];
  const cut = (into, members) => {
    if (members.length <= MOST_CHILDREN) {
      into.children = members.flatMap(follow);
      for (const child of into.children) {
        if (typeof child === "number") groupOf[child] = into;
        else child.parent = into;
      }
      return;
    }
    const levels = Math.ceil(Math.log(members.length) / Math.log(MOST_PARTS));
    const size = Math.ceil(members.length ** (1 - 1 / levels)); // as many parts on each level
    into.children = [];
    for (let start = 0; start < members.length; start += size) {
      const inside = members.slice(start, start + size);
      const number = `part ${into.children.length + 1} of ${Math.ceil(members.length / size)}`;
      const path = `${into.path}/${number.replaceAll(" ", "-")}`.replace(/^\//, "");
      const made = group(path, rangeOf(model, inside) ?? number, into, "part");
      groups.set(made.path, made);
      into.children.push(made);
      cut(made, inside);
    }
  };
  cut(parent, leaders);
  parent.children.push(...sums);
}

/** `cell[8] … cell[55]` for a run of scopes or of nodes with names; else null. */
function rangeOf(model, members) {
  const ends = [members[0], members.at(-1)];
  const names = ends.map((end) => (typeof end === "number" ? model.name(end) : end.name));
  return names.every(Boolean) ? names.map((name) => shortened(name, 14)).join(" … ") : null;
}

function measure(root) {
  const order = [root];
  for (const each of order)
    for (const child of each.children) if (typeof child === "object") order.push(child);
  for (const each of order.reverse()) {
    each.size = each.children.reduce((sum, child) => sum + (typeof child === "object" ? child.size : 1), 0);
  }
}

/**
 * Which groups to unfold at first: level by level, the small ones first, as long as all boxes have room.
 * @param {Tree} tree
 * @param {number} room number of boxes
 * @returns {string[]} paths
 */
export function unfoldedAtFirst(tree, room) {
  const open = [];
  let boxes = tree.root.children.length;
  let level = tree.root.children;
  while (level.length) {
    const found = level.filter((child) => typeof child === "object" && child.kind === "scope");
    const added = found.reduce((sum, child) => sum + child.children.length - 1, 0);
    if (boxes + added > room) break; // all or none: siblings that look alike stay alike
    boxes += added;
    open.push(...found.map((child) => child.path));
    level = found.flatMap((child) => child.children);
  }
  return open;
}

/** The groups that hold a group, from outside, without the root. @returns {Group[]} */
export function enclosing(inner) {
  const found = [];
  for (let at = inner; at?.parent; at = at.parent) found.unshift(at);
  return found;
}
