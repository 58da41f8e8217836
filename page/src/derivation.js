/** Derivation: backward nodes appear one at a time, each with its rule, what it takes and what it keeps. */

import { h, isCommand } from "./dom.js";
import { icon } from "./icons.js";
import { counted } from "./labels.js";
import { nodeLink } from "./links.js";

const SLOWEST = 0.7; // seconds a node, sliding by itself
const LONGEST = 25; // seconds to play all
const FITTED = "What was repeated (broadcast) on the way there is summed on the way back.";

/**
 * What happens when a backward node is made: by the rule of its twin, or as a sum of what the twin's readers
 * send back. `rule` holds all nodes that are made with it.
 * @param {import("./model.js").Model} model
 * @returns {{node: number, twin: number, isSum: boolean, rule: number[], cotangents: number[], kept: number[]}}
 */
export function firing(model, node) {
  const { gradOf } = model.data.nodes;
  const twin = gradOf[node];
  if (model.isSum(node))
    return { node, twin, isSum: true, rule: [node], cotangents: model.reads[node], kept: [] };
  const rule = twin < 0 ? [node] : model.derived.filter((i) => gradOf[i] === twin && !model.isSum(i));
  const own = new Set(rule);
  const taken = rule
    .flatMap((i) => model.reads[i])
    .filter((i) => model.phase(i) === "backward" && !own.has(i));
  const known = model.gradientOf.get(twin);
  const kept = [...new Set(rule.flatMap((i) => model.reads[i]))].filter((i) => model.phase(i) === "forward");
  return {
    node,
    twin,
    isSum: false,
    rule,
    cotangents: known < node && model.seenAs[known] >= 0 ? [model.seenAs[known]] : [...new Set(taken)],
    kept,
  };
}

/** @param {HTMLElement} element */
export function mount(element, context) {
  const { model, store, scene } = context;
  const total = model.derived.length;
  if (!total) return;
  const place = new Int32Array(model.count).fill(-1);
  model.derived.forEach((i, at) => (place[i] = at));

  const button = (sign, label, act) =>
    h("button", { type: "button", title: label, "aria-label": label, onclick: act }, sign);
  const slider = h("input", {
    type: "range",
    min: 0,
    max: total,
    step: 1,
    id: "step",
    "aria-label": "Backward nodes shown",
  });
  const play = button(icon("play"), "Play (Space)", () => toggle());
  const counter = h("output", { class: "counter", for: "step" });
  const caption = h("div", { class: "caption", "aria-live": "polite" });
  element.append(
    h(
      "div",
      { class: "player" },
      button(icon("first"), "Forward graph only (Home)", () => go(0)),
      button(icon("back"), "One less (←)", () => go(now() - 1)),
      play,
      button(icon("next"), "One more (→)", () => go(now() + 1)),
      button(icon("last"), "All (End)", () => go(total)),
      slider,
      counter,
    ),
    caption,
  );

  const now = () => store.get().step ?? total;
  const go = (step) => store.set({ step: Math.max(0, Math.min(total, step)), sliding: false });

  let frame = 0;
  function toggle() {
    const { sliding, step } = store.get();
    if (sliding) return store.set({ sliding: false });
    store.set({ sliding: true, step: (step ?? total) >= total ? 0 : step });
  }
  function run() {
    const pace = Math.min(SLOWEST, LONGEST / total);
    const [first, start] = [now(), performance.now()];
    const tick = (time) => {
      if (!store.get().sliding || store.get().tab !== "derive") return;
      const step = Math.min(total, first + Math.floor((time - start) / 1000 / pace));
      store.set({ step, sliding: step < total });
      frame = requestAnimationFrame(tick);
    };
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(tick);
  }

  function show(state) {
    const on = state.tab === "derive";
    const step = state.step ?? total;
    slider.value = String(step);
    slider.style.setProperty("--share", step / total);
    counter.textContent = `${counted(step)} of ${counted(total)}`;
    play.replaceChildren(icon(state.sliding && on ? "pause" : "play"));
    play.setAttribute("aria-label", state.sliding && on ? "Pause (Space)" : "Play (Space)");
    const all = step >= total;
    const isShown = (i) => (place[i] < 0 ? model.phase(i) !== "update" : place[i] < step);
    scene.limit(on && !all ? isShown : null);
    const fired = on && state.step !== null && step > 0 ? firing(model, model.derived[step - 1]) : null;
    slider.setAttribute(
      "aria-valuetext",
      fired ? `${step} of ${total}: ${model.label(fired.node)}` : `${step} of ${total}`,
    );
    light(fired);
    caption.setAttribute("aria-live", state.sliding ? "off" : "polite");
    if (on) caption.replaceChildren(...(fired ? told(fired, context) : opening(step)));
  }

  function light(fired) {
    const { node, twin, rule = [], cotangents = [], kept = [] } = fired ?? {};
    scene.mark("fired", fired ? [node] : []);
    if (fired) scene.follow([node]);
    scene.mark("twin", fired && twin >= 0 ? [model.seenAs[twin]] : []);
    scene.mark("kept", kept);
    scene.mark("taken", cotangents);
    const flows = [...kept, ...cotangents].flatMap((from) => rule.map((to) => [from, to]));
    scene.markArrows(
      "fired",
      flows.filter(([from, to]) => to <= node && model.reads[to].includes(from)),
    );
  }

  const opening = (step) => [
    h(
      "p",
      { class: "lead" },
      step === 0
        ? "The forward graph. Each step to the right adds one node of the backward graph, from the loss back to the inputs."
        : "The whole backward graph stands beneath the forward graph. Slide, press an arrow key or play to see how it is derived, node by node.",
    ),
  ];

  slider.addEventListener("input", () => go(Number(slider.value)));
  document.addEventListener("keydown", (event) => {
    if (store.get().tab !== "derive" || !isCommand(event)) return;
    if (event.target === slider && event.key !== " ") return;
    if (
      event.target.closest?.("[role=tab], dialog") ||
      (event.key === " " && event.target.closest?.("button"))
    )
      return;
    const act = {
      ArrowLeft: () => go(now() - 1),
      ArrowRight: () => go(now() + 1),
      Home: () => go(0),
      End: () => go(total),
      " ": toggle,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  store.subscribe((state, previous) => {
    if (state.step !== previous.step || state.tab !== previous.tab || state.sliding !== previous.sliding)
      show(state);
    if (state.sliding && !previous.sliding && state.tab === "derive") run();
  });
  show(store.get());
}

/** What a rule takes that takes no node. */
function start(twin, loss) {
  if (loss < 0) return "an input";
  return twin === loss ? "1: the derivative of the loss by itself" : "a number, known as it is derived";
}

/** The caption of a step. */
function told({ node, twin, isSum, rule, cotangents, kept }, context) {
  const { model } = context;
  const list = (nodes, none) =>
    nodes.length ? nodes.map((i) => nodeLink(i, context)) : [h("span", { class: "none" }, none)];
  const column = (title, ...content) => h("div", {}, h("h3", {}, title), ...content);
  const text = twin >= 0 && !isSum ? model.op(twin).rule : null;
  const result = model.results.get(node);
  const role =
    twin < 0
      ? "No rule of an operation made it."
      : isSum
        ? "Several readers: what they send back is added."
        : rule.length > 1
          ? `Node ${rule.indexOf(node) + 1} of ${rule.length} that the rule makes.`
          : "The one node that the rule makes.";
  const isOne = text?.startsWith("y =") && cotangents.length === 1 && model.data.loss >= 0;
  const isFitted = text && !isSum && model.op(node).name === "sum" && !text.includes("sum");
  return [
    column(
      "New node",
      nodeLink(node, context),
      h("p", {}, isFitted ? FITTED : role, result ? ` It is ${result}.` : ""),
    ),
    column(
      isSum ? "Sums the gradients of" : "By the rule of",
      ...(twin >= 0 ? [nodeLink(twin, context)] : [h("span", { class: "none" }, "—")]),
      text ? h("pre", {}, text) : null,
    ),
    column(
      cotangents.length > 1 ? "Takes the gradients" : "Takes the gradient",
      ...list(cotangents, start(twin, model.data.loss)),
      isOne ? h("p", {}, "g of the rule: how the loss changes with y.") : null,
    ),
    column("Keeps of forward", ...list(kept, "no value")),
  ];
}
