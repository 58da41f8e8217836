/**
 * The picture on the screen: boxes, arrows and frames as SVG, and what lights up in it.
 *
 * Other modules light nodes by name, whatever box they are in at the moment:
 *
 *     scene.mark("running", [3, 7], (i) => ({ "--worker": colour(i) }));
 *
 * gives the boxes of nodes 3 and 7 the class `running`, the custom properties, and `--running-share`, the
 * share of the box's nodes that are meant; it takes all that from the boxes of the call before. Marks stay
 * when scopes are folded or unfolded. `markArrows` does the same for arrows.
 */

import { s } from "./dom.js";
import { drawnArrow, drawnBox, drawnFrame, heads } from "./drawn.js";
import { panZoom } from "./panzoom.js";

const SMALL_PRINT = 0.4; // scale below which the second lines are left out
const NO_PRINT = 0.2; // scale below which all text is left out
const MANY = 400; // arrows above which browsers draw them too slowly to move them
const STILL = 140; // milliseconds after which a picture counts as at rest
const MARGIN = 24; // pixels around a picture that fits

/**
 * @param {HTMLElement} element
 * @param {import("./model.js").Model} model
 */
export function createScene(element, model) {
  const layers = { frames: s("g"), arrows: s("g", { "aria-hidden": "true" }), boxes: s("g") };
  const root = s("g", {}, layers.frames, layers.arrows, layers.boxes);
  const svg = s("svg", { class: "graph", role: "tree", "aria-label": "Graph", tabindex: -1 }, heads(), root);
  element.prepend(svg);
  const listeners = { select: new Set(), toggle: new Set(), hover: new Set(), drawn: new Set() };
  const tell = (type, ...what) => listeners[type].forEach((listener) => listener(...what));
  const marks = new Map();
  const arrowMarks = new Map();
  let shown = { boxes: [], arrows: [], boxOf: new Int32Array(model.count).fill(-1) };
  let layout = null;
  let elements = { boxes: [], arrows: [], frames: [], arrowsAt: [] };
  let isVisible = null;

  const pan = panZoom(svg, ({ x, y, scale }, isOwn) => {
    isFitted &&= !isOwn;
    root.setAttribute("transform", `translate(${x.toFixed(2)},${y.toFixed(2)}) scale(${scale.toFixed(4)})`);
    svg.classList.toggle("small", scale < SMALL_PRINT);
    svg.classList.toggle("tiny", scale < NO_PRINT);
    if (elements.arrows.length > MANY) restLater();
  });

  let isFitted = true; // until someone moves or scales the picture
  new ResizeObserver(() => isFitted && layout && pan.set(fitting(layout.bounds))).observe(svg);

  /** Leaves the arrows out as long as a picture with many of them moves. */
  let resting = 0;
  function restLater() {
    svg.classList.add("moving");
    clearTimeout(resting);
    resting = setTimeout(() => svg.classList.remove("moving"), STILL);
  }

  /** The box an event happened in; -1 outside of boxes. */
  const boxAt = (event) => Number(event.target.closest?.(".box")?.dataset.box ?? -1);
  const pathAt = (event) => event.target.closest?.("[data-path]")?.dataset.path;
  svg.addEventListener("click", (event) => {
    const path = event.target.closest(".fold-mark") ? pathAt(event) : undefined;
    if (path !== undefined) tell("toggle", path);
    else tell("select", shown.boxes[boxAt(event)] ?? null);
  });
  svg.addEventListener("dblclick", (event) => {
    const path = pathAt(event);
    if (path !== undefined && !event.target.closest(".fold-mark")) tell("toggle", path);
  });
  svg.addEventListener("keydown", (event) => {
    const box = shown.boxes[boxAt(event)];
    if (event.key !== "Enter" || !box) return;
    event.stopPropagation();
    if (box.path && elements.boxes[box.index].classList.contains("selected")) tell("toggle", box.path);
    else tell("select", box);
  });
  svg.addEventListener("pointerover", (event) => hover(boxAt(event)));
  svg.addEventListener("pointerleave", () => hover(-1));
  svg.addEventListener("focusin", (event) => hover(boxAt(event)));
  let hovered = -1;
  function hover(box) {
    if (box === hovered) return;
    for (const [index, on] of [
      [hovered, false],
      [box, true],
    ]) {
      for (const arrow of elements.arrowsAt[index] ?? []) elements.arrows[arrow].classList.toggle("near", on);
    }
    hovered = box;
    tell("hover", shown.boxes[box]?.nodes ?? null);
  }

  /** Draws a picture; the view stays, unless `refit`. */
  function show(picture, placed, refit) {
    const hadFocus = svg.contains(document.activeElement);
    [shown, layout, hovered] = [picture, placed, -1];
    const boxes = picture.boxes.map((box) => drawnBox(box, placed.places[box.index], model));
    const arrows = placed.ways.map((way) => drawnArrow(way, picture));
    const frames = placed.frames.map(drawnFrame);
    const arrowsAt = boxes.map(() => []);
    placed.ways.forEach(({ arrow }, i) => {
      arrowsAt[arrow.source].push(i);
      arrowsAt[arrow.target].push(i);
    });
    elements = { boxes, arrows, frames, arrowsAt };
    svg.classList.toggle("many", arrows.length > MANY);
    layers.boxes.replaceChildren(...boxes);
    layers.arrows.replaceChildren(...arrows);
    layers.frames.replaceChildren(...frames);
    if (isVisible) limit(isVisible);
    for (const [name, { nodes, attributes }] of marks) mark(name, nodes, attributes, true);
    for (const [name, { pairs }] of arrowMarks) markArrows(name, pairs, true);
    tell("drawn", picture);
    if (refit) {
      isFitted = true;
      pan.set(fitting(placed.bounds));
    }
    if (hadFocus) layers.boxes.querySelector('[tabindex="0"]')?.focus({ preventScroll: true });
  }

  /** The view in which `bounds` fill the screen. */
  function fitting({ left, top, right, bottom }, largest = 1.25) {
    const { clientWidth: width, clientHeight: height } = svg;
    const below = (element.querySelector(".legend")?.offsetHeight ?? 0) + MARGIN;
    const room = [width - 2 * MARGIN, height - MARGIN - below];
    const scale = Math.min(largest, room[0] / (right - left || 1), room[1] / (bottom - top || 1));
    return {
      x: (width - (left + right) * scale) / 2,
      y: MARGIN + (room[1] - (top + bottom) * scale) / 2,
      scale,
    };
  }

  /** The same where only a part of the picture is in view, so as not to lose what happens. */
  const follow = (nodes) => isFitted || reveal(nodes);

  /** Moves the view as far as it takes to see the boxes of some nodes, none too small to be read. */
  function reveal(nodes) {
    const boxes = [...new Set(nodes.map((i) => shown.boxOf[i]).filter((box) => box >= 0))];
    if (!boxes.length) return;
    const view = pan.view();
    const scale = Math.max(view.scale, 0.55);
    const { x, y } = layout.places[boxes[0]];
    const at = [x * view.scale + view.x, y * view.scale + view.y];
    const inside = at[0] > 80 && at[1] > 50 && at[0] < svg.clientWidth - 80 && at[1] < svg.clientHeight - 50;
    if (inside && scale === view.scale) return;
    isFitted = false;
    pan.glide({ x: svg.clientWidth / 2 - x * scale, y: svg.clientHeight / 2 - y * scale, scale });
  }

  /** Where a node's box is on the screen; null if nowhere. */
  function pointOf(node) {
    const place = layout?.places[shown.boxOf[node]];
    const { x, y, scale } = pan.view();
    return place ? [place.x * scale + x, place.y * scale + y] : null;
  }

  /** Moves the view so that a node's box is at a point of the screen. */
  function holdAt(node, [x, y]) {
    const now = pointOf(node);
    const view = pan.view();
    isFitted = false;
    if (now) pan.set({ ...view, x: view.x + x - now[0], y: view.y + y - now[1] });
  }

  /** Shows the boxes that hold a node for which `visible(i)`, with their arrows and frames; null shows all. */
  function limit(visible) {
    isVisible = visible;
    if (!layout) return;
    const on = shown.boxes.map((box) => !visible || box.nodes.some(visible));
    shown.boxes.forEach((box, i) => {
      elements.boxes[i].classList.toggle("pending", !on[i]);
      const share = visible && box.kind === "fold" ? box.nodes.filter(visible).length / box.nodes.length : 1;
      elements.boxes[i].style.setProperty("--shown-share", share);
      elements.boxes[i].classList.toggle("part", on[i] && share < 1);
    });
    layout.ways.forEach(({ arrow }, i) =>
      elements.arrows[i].classList.toggle("pending", !on[arrow.source] || !on[arrow.target]),
    );
    const framed = new Set();
    shown.boxes.forEach(
      (box, i) => on[i] && box.frames.forEach((group) => framed.add(`${box.phase} ${group.path}`)),
    );
    layout.frames.forEach(({ phase, group }, i) =>
      elements.frames[i].classList.toggle("pending", !framed.has(`${phase} ${group.path}`)),
    );
  }

  /** Lights the boxes of `nodes`; see the top of this module. */
  function mark(name, nodes, attributes = () => ({}), fresh = false) {
    const before = fresh ? new Map() : (marks.get(name)?.boxes ?? new Map());
    const boxes = new Map();
    const styles = new Map();
    for (const i of nodes) {
      const box = shown.boxOf[i];
      if (box < 0) continue;
      boxes.set(box, (boxes.get(box) ?? 0) + 1);
      styles.set(box, typeof attributes === "function" ? attributes(i) : attributes);
    }
    marks.set(name, { nodes, attributes, boxes });
    for (const box of before.keys()) if (!boxes.has(box)) unlight(name, box);
    for (const [box, count] of boxes) {
      const element = elements.boxes[box];
      element.classList.add(name);
      element.style.setProperty(`--${name}-share`, Math.min(1, count / shown.boxes[box].nodes.length));
      for (const [property, value] of Object.entries(styles.get(box)))
        element.style.setProperty(property, value);
    }
  }

  function unlight(name, box) {
    elements.boxes[box].classList.remove(name);
    elements.boxes[box].style.removeProperty(`--${name}-share`);
  }

  /** Gives the class `name` to the arrows between the boxes of pairs of nodes, source and target. */
  function markArrows(name, pairs, fresh = false) {
    for (const arrow of fresh ? [] : (arrowMarks.get(name)?.arrows ?? []))
      elements.arrows[arrow].classList.remove(name);
    const found = pairs.flatMap(([from, to]) => arrowsBetween(shown.boxOf[from], shown.boxOf[to]));
    arrowMarks.set(name, { pairs, arrows: found });
    for (const arrow of found) elements.arrows[arrow].classList.add(name);
  }

  /** A folded box may get from its twin what the twin has read: then that arrow is meant. */
  function arrowsBetween(source, target) {
    if (source === target) return [];
    const into = (elements.arrowsAt[target] ?? []).filter((i) => layout.ways[i].arrow.target === target);
    const direct = into.filter((i) => layout.ways[i].arrow.source === source);
    return direct.length
      ? direct
      : into.filter((i) => layout.ways[i].arrow.source === shown.boxes[target].twin);
  }

  return {
    svg,
    show,
    limit,
    mark,
    markArrows,
    reveal,
    follow,
    pointOf,
    holdAt,
    /** Shows all of the picture, until someone moves or scales it. */
    fit() {
      if (!layout) return;
      pan.glide(fitting(layout.bounds));
      isFitted = true;
    },
    zoom: pan.zoom,
    /** The picture that is shown. */
    picture: () => shown,
    /** Where a box stands. */
    place: (box) => layout?.places[box],
    /** Gives the keyboard's focus to a box. */
    focus: (box) => elements.boxes[box]?.focus({ preventScroll: true }),
    /** Makes a box the one that Tab comes to. */
    enterAt(box) {
      for (const element of layers.boxes.querySelectorAll('[tabindex="0"]'))
        element.setAttribute("tabindex", "-1");
      elements.boxes[box]?.setAttribute("tabindex", "0");
    },
    /** Calls `listener` on "select" (a box or null), "toggle" (a path), "hover" (nodes or null), "drawn". */
    listen(type, listener) {
      listeners[type].add(listener);
      return () => listeners[type].delete(listener);
    },
  };
}
