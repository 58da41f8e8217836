/** SVG elements of a box, an arrow, a frame, and the sizes that boxes need for their text. */

import { s } from "./dom.js";
import { plural } from "./labels.js";

const FONT = 'system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif';
const LINES = [
  { size: 12.5, weight: 500 },
  { size: 10.5, weight: 400 },
];
const LINE_HEIGHT = 14;
const PADDING = { x: 8, y: 6 };
const MARK = 15; // pixels that the fold mark takes
const HEADS = ["forward", "backward", "update", "quiet", "lit", "kept", "way"];

const context = document.createElement("canvas").getContext("2d");

/** @returns {{width: number, height: number}} of a box, in pixels */
export function sizeOf(box) {
  const widths = box.lines.map((line, i) => {
    const { size, weight } = LINES[Math.min(i, 1)];
    context.font = `${weight} ${size}px ${FONT}`;
    return context.measureText(line).width + (i === 0 && box.kind === "fold" ? MARK : 0);
  });
  return {
    width: Math.ceil(Math.max(34, ...widths) + 2 * PADDING.x),
    height: box.lines.length * LINE_HEIGHT + 2 * PADDING.y,
  };
}

/** Markers for the ends of arrows, one a colour. */
export function heads() {
  const marker = (name) =>
    s(
      "marker",
      {
        id: `head-${name}`,
        class: `head ${name}`,
        viewBox: "0 0 8 8",
        refX: 7,
        refY: 4,
        markerWidth: 7,
        markerHeight: 7,
        markerUnits: "userSpaceOnUse",
        orient: "auto",
      },
      s("path", { d: "M0.5,0.8L7.5,4L0.5,7.2L2,4Z" }),
    );
  return s("defs", {}, ...HEADS.map(marker));
}

export function drawnBox(box, { x, y, width, height }, model) {
  const described = describe(box, model);
  const lines = box.lines.map((line, i) =>
    s(
      "text",
      {
        class: i ? "second" : "first",
        x: i === 0 && box.kind === "fold" ? -MARK / 2 : 0,
        y: (i - (box.lines.length - 1) / 2) * LINE_HEIGHT + 4.2,
      },
      line,
    ),
  );
  return s(
    "g",
    {
      class: `box ${box.kind} ${box.phase} ${box.role}`,
      transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
      role: "treeitem",
      tabindex: "-1",
      "aria-label": described,
      "aria-expanded": box.kind === "fold" ? "false" : null,
      "data-box": box.index,
      "data-node": box.nodes.length === 1 ? box.nodes[0] : null,
      "data-path": box.path,
    },
    s("title", {}, described),
    ...outline(box, width, height),
    s(
      "g",
      { class: "share" },
      s("rect", { x: -width / 2 + 4, y: height / 2 - 4, width: width - 8, height: 2, rx: 1 }),
    ),
    ...lines,
    box.kind === "fold" && foldMark(width / 2 - 12, -(box.lines.length - 1) * (LINE_HEIGHT / 2), true),
  );
}

/** Forward boxes have round corners, backward ones square corners, sums of gradients eight. */
function outline({ phase, role, kind, nodes }, width, height) {
  const [w, h] = [width / 2, height / 2];
  const plain = (grow, extra = {}) =>
    s("rect", {
      class: "outline",
      x: -w - grow,
      y: -h - grow,
      width: width + 2 * grow,
      height: height + 2 * grow,
      rx: kind === "input" ? h : phase === "backward" ? 1.5 : 6,
      ...extra,
    });
  if (role === "sum") {
    const c = 7;
    return [
      s("path", {
        class: "outline",
        d: `M${-w + c},${-h}H${w - c}L${w},${-h + c}V${h - c}L${w - c},${h}H${-w + c}L${-w},${h - c}V${-h + c}Z`,
      }),
    ];
  }
  if (role === "loss") return [plain(3, { class: "outline second-outline" }), plain(0)];
  if (kind === "fold" || nodes.length > 1) {
    return [plain(0, { class: "outline behind", transform: "translate(3,3)" }), plain(0)];
  }
  return [plain(0)];
}

function foldMark(x, y, folded) {
  return s(
    "g",
    { class: "fold-mark", transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` },
    s("circle", { r: 9, class: "target" }),
    s("circle", { r: 6 }),
    s("path", { d: folded ? "M-3,0H3M0,-3V3" : "M-3,0H3" }),
  );
}

function describe(box, model) {
  if (box.nodes.length > 1 || box.kind === "fold") {
    return `${box.lines[0]}: ${box.phase}, ${plural(box.nodes.length, box.kind === "input" ? "value" : "operation")}`;
  }
  const i = box.nodes[0];
  return `${box.lines[0]}: ${box.phase} ${model.op(i).name}, ${model.spec(i)}`;
}

/** @param {{arrow: import("./boxes.js").Arrow, d: string, routed: boolean}} way */
export function drawnArrow({ arrow, d, routed }, { boxes }) {
  const [source, target] = [boxes[arrow.source], boxes[arrow.target]];
  const kind = arrow.saved ? "saved" : source.kind === "input" ? "given" : target.phase;
  return s("path", { class: `arrow ${kind}${routed ? "" : " long"}`, d });
}

export function drawnFrame({ group, phase, x, y, width, height }) {
  const name = phase === "backward" ? `∇${group.name}` : group.name;
  const room = Math.max(3, Math.floor((width - 34) / 6.2));
  const text = [...name.slice(0, 200)];
  return s(
    "g",
    { class: `frame ${phase}`, "data-path": group.path },
    s("title", {}, name),
    s("rect", { x, y, width, height, rx: phase === "backward" ? 3 : 9 }),
    s(
      "g",
      { transform: `translate(${x},${y})` },
      s("text", { x: 24, y: 14 }, text.length > room ? text.slice(0, room - 1).join("") + "…" : name),
      foldMark(13, 10.5, false),
    ),
  );
}
