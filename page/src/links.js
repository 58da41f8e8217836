/** A node as a button that selects it. */

import { h } from "./dom.js";

/**
 * @param {number} i
 * @param {{model: import("./model.js").Model, store: any, scene: any}} context
 */
export function nodeLink(i, { model, store, scene }) {
  const region = model.scope(i).at(-1);
  const full = [...model.scope(i), model.name(i) || model.op(i).name].join(" / ");
  const link = h(
    "button",
    {
      type: "button",
      class: `node-link ${model.isSource(i) ? "input" : model.phase(i)}`,
      title: full.slice(0, 500),
    },
    h("b", {}, model.label(i)),
    region ? h("span", {}, region) : null,
  );
  link.addEventListener("click", () => store.set({ select: i, whole: false }));
  for (const [type, nodes] of [
    ["pointerenter", [i]],
    ["pointerleave", []],
    ["focus", [i]],
    ["blur", []],
  ]) {
    link.addEventListener(type, () => scene.mark("pointed", nodes));
  }
  return link;
}
