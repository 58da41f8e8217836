/**
 * Keeps the scene in step with the state: which scopes are unfolded, how many of a family are drawn.
 *
 * The layout is made once for a set of unfolded scopes and kept, so sliding and playing move nothing.
 */

import { byId } from "./dom.js";
import { pictureOf } from "./boxes.js";
import { sizeOf } from "./drawn.js";
import { layoutOf } from "./layout.js";
import { plural } from "./labels.js";
import { enclosing, longestFamily, treeOf, unfoldedAtFirst } from "./tree.js";

const ROOM = 84; // boxes to unfold at first
const MOST_STEPS = 8; // scopes of a numbered family at first, if it is long
const KEPT = 8; // layouts, and trees

/**
 * @param {{model: import("./model.js").Model, store: any, scene: any,
 *   layOut: (texts: string[]) => Promise<(string|null)[]>}} context
 */
export function createDrawing({ model, store, scene, layOut }) {
  const status = byId("status");
  const kept = new Map();
  const trees = new Map();
  let wanted = "";
  let isBusy = false;
  let atFirst = null;

  const longest = longestFamily(model.data.scopes);
  /** All scopes of a family, unless it is long. */
  const firstSteps = longest <= 2 * MOST_STEPS ? Math.max(longest, 1) : MOST_STEPS;
  const stepsOf = (state) => state.steps ?? firstSteps;

  function treeFor(steps) {
    if (!trees.has(steps)) {
      if (trees.size === KEPT) trees.delete(trees.keys().next().value);
      trees.set(steps, treeOf(model, steps));
    }
    return trees.get(steps);
  }
  const grown = (state) => treeFor(stepsOf(state));

  /** Paths of the groups that are unfolded. @returns {string[]} */
  const openIn = (state) => state.open ?? (atFirst ??= unfoldedAtFirst(treeFor(firstSteps), ROOM));

  async function draw(state) {
    const key = JSON.stringify([stepsOf(state), openIn(state)]);
    if (key === wanted) return;
    const refit = !wanted || !state.open;
    wanted = key;
    const picture = pictureOf(model, grown(state), new Set(openIn(state)));
    if (!kept.has(key)) {
      status.textContent = `Laying out ${plural(picture.boxes.length, "box", "boxes")} …`;
      isBusy = true;
      const layout = await layoutOf(picture, picture.boxes.map(sizeOf), layOut);
      kept.set(key, { picture, layout });
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
      if (key !== wanted) return;
    }
    isBusy = false;
    status.textContent = "";
    const anchor = refit ? null : anchorOf(state);
    const found = kept.get(key);
    scene.show(found.picture, found.layout, refit);
    if (anchor) scene.holdAt(anchor.node, anchor.point);
    document.body.dataset.laidOut = String(found.picture.boxes.length);
  }

  /** The node that is to stay where it is on the screen when all else moves: the last one folded or selected. */
  let touched = null;
  function anchorOf(state) {
    const node = touched ?? state.select;
    touched = null;
    const point = node === null ? null : scene.pointOf(node);
    return point ? { node, point } : null;
  }

  function toggle(path) {
    const state = store.get();
    const open = openIn(state);
    const group = grown(state).groups.get(path);
    if (!group) return;
    touched = firstNode(group);
    const inside = (other) => other === path || other.startsWith(path + "/");
    store.set({ open: open.includes(path) ? open.filter((other) => !inside(other)) : [...open, path] });
  }

  /** Unfolds what hides a node. */
  function uncover(node) {
    const state = store.get();
    const seen = model.seenAs[node];
    const hiding = enclosing(grown(state).groupOf[seen]).map((group) => group.path);
    const open = openIn(state);
    const missing = hiding.filter((path) => !open.includes(path));
    if (missing.length) store.set({ open: [...open, ...missing] });
  }

  scene.listen("toggle", toggle);
  store.subscribe((state, previous) => {
    if (state.open !== previous.open || state.steps !== previous.steps) draw(state);
  });

  return {
    start: () => draw(store.get()),
    /** Whether a layout is under way. */
    busy: () => isBusy,
    toggle,
    uncover,
    isOpen: (path) => openIn(store.get()).includes(path),
    foldAll: () => store.set({ open: [] }),
    unfoldAtFirst: () => store.set({ open: null }),
    tree: () => grown(store.get()),
    steps: () => stepsOf(store.get()),
    longest,
  };
}

function firstNode(group) {
  let at = group;
  while (typeof at === "object") at = at.children[0];
  return at;
}
