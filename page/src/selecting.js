/** The selected node: lit, moved into view, and in Explore the way from it to the loss. */

import { isTyping } from "./dom.js";

/**
 * The shortest way between a node and the loss: by readers for what the loss is computed from, by what it
 * reads for what was derived from the loss.
 * @param {import("./model.js").Model} model
 * @returns {number[]} nodes, both ends included; empty if there is no way
 */
export function wayToLoss(model, node) {
  const { loss } = model.data;
  if (loss < 0 || node === null || node < 0) return [];
  const next = model.phase(node) === "forward" ? model.readers : model.reads;
  const from = new Int32Array(model.count).fill(-1);
  from[node] = node;
  const queue = [node];
  for (const i of queue) {
    if (i === loss) {
      const way = [i];
      while (way.at(-1) !== node) way.push(from[way.at(-1)]);
      return way.reverse();
    }
    for (const j of next[i]) {
      if (from[j] >= 0) continue;
      from[j] = i;
      queue.push(j);
    }
  }
  return [];
}

export function mount({ model, store, scene, drawing }) {
  let waits = false; // whether to move the selected box into view once it is drawn

  function light({ select, tab }) {
    const seen = select === null ? -1 : model.seenAs[select];
    scene.mark("selected", seen < 0 ? [] : [seen]);
    const way = tab === "explore" ? wayToLoss(model, seen) : [];
    scene.mark("way", way);
    scene.markArrows(
      "way",
      way.slice(1).map((to, i) => {
        const from = way[i];
        return model.phase(way[0]) === "forward" ? [from, to] : [to, from];
      }),
    );
    scene.enterAt(seen < 0 ? 0 : scene.picture().boxOf[seen]);
    document.body.toggleAttribute("data-selected", seen >= 0);
  }

  scene.listen("select", (box) => {
    if (box) store.set({ select: box.nodes[0], whole: box.nodes.length > 1 });
    else store.set({ select: null, whole: false });
  });
  scene.listen("drawn", () => {
    light(store.get());
    if (waits) scene.reveal([store.get().select]);
    waits = false;
  });
  store.subscribe((state, previous) => {
    if (state.select === previous.select && state.tab === previous.tab) return;
    light(state);
    if (state.select === null || state.select === previous.select) return;
    waits = true;
    requestAnimationFrame(() => {
      if (!drawing.busy() && waits) {
        waits = false;
        scene.reveal([model.seenAs[state.select]]);
      }
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !isTyping(event) && !event.target.closest?.("dialog"))
      store.set({ select: null, whole: false });
  });
}
