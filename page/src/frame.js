/** The frame around the views: title, tabs, zoom buttons, legend, help, notices. */

import { byId, h, isCommand, isTyping, s } from "./dom.js";
import { counted, plural } from "./labels.js";
import { PHASES } from "./model.js";

const TABS = ["derive", "run", "explore"];
const STILL = { playing: false, sliding: false };
const NOTICE_SECONDS = 7;
const KEYS = [
  [
    "Everywhere",
    [
      ["drag, wheel, pinch", "move and scale the picture; with Shift the wheel moves sideways"],
      ["F", "fit the picture to the window"],
      ["click", "select a box"],
      ["+ on a box, or double click", "unfold a scope; − on its frame folds it"],
      ["/", "search"],
      ["Esc", "select nothing"],
      ["1, 2, 3", "Derivation, Run, Explore"],
    ],
  ],
  [
    "Derivation",
    [
      ["← →", "one backward node less or more"],
      ["Home, End", "forward graph only; all of it"],
      ["Space", "play and pause"],
    ],
  ],
  [
    "Run",
    [
      ["← →", "the last or next start of a task; with Shift, on the critical path"],
      ["Space", "play and pause"],
      ["Home, End", "start and end of the run"],
      ["Enter", "select the task that runs"],
      ["+ − 0", "zoom of the timeline: in, out, all; also wheel, drag, double click"],
    ],
  ],
  [
    "Explore",
    [
      ["← → ↑ ↓", "to the next box in that direction"],
      ["Enter", "unfold or fold"],
      ["N, Shift N", "next and last result of the search"],
    ],
  ],
];

let timer = 0;
/** Says in a corner what was ignored of a hash. @param {string[]} ignored */
export function notice(ignored) {
  const element = byId("notice");
  element.textContent = `Ignored in the address: ${ignored.map((part) => part.slice(0, 60)).join(", ")}`;
  element.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (element.hidden = true), NOTICE_SECONDS * 1000);
}

/** @param {{data: any, model: import("./model.js").Model, store: any, scene: any}} context */
export function mount({ data, model, store, scene }) {
  byId("name").textContent = data.name;
  byId("summary").textContent = summary(data, model);
  mountTabs(data, model, store);
  mountControls(scene);
  mountHelp();
  scene.listen("drawn", (picture) => byId("legend").replaceChildren(...legend(picture)));
}

function summary(data, model) {
  const work = model.seen.filter((i) => !model.isSource(i));
  const parts = PHASES.map((phase) => [work.filter((i) => model.phase(i) === phase).length, phase])
    .filter(([count]) => count)
    .map(([count, phase]) => `${counted(count)} ${phase}`);
  const operations = parts.length === 1 ? plural(work.length, "operation") : `${parts.join(", ")} operations`;
  return [data.file, operations].filter(Boolean).join(" · ");
}

function mountTabs(data, model, store) {
  const available = { derive: model.derived.length > 0, run: data.runs.length > 0, explore: true };
  const show = ({ tab }) => {
    document.body.dataset.tab = tab;
    for (const name of TABS) {
      const button = byId(`tab-${name}`);
      button.setAttribute("aria-selected", String(name === tab));
      button.tabIndex = name === tab ? 0 : -1;
      byId(`strip-${name}`).hidden = name !== tab;
    }
  };
  for (const name of TABS) {
    const button = byId(`tab-${name}`);
    button.hidden = !available[name];
    button.addEventListener("click", () => store.set({ tab: name, ...STILL }));
  }
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    const names = TABS.filter((name) => available[name]);
    const next = names[(names.indexOf(store.get().tab) + by + names.length) % names.length];
    store.set({ tab: next, ...STILL });
    byId(`tab-${next}`).focus();
  });
  document.addEventListener("keydown", (event) => {
    const name = TABS[Number(event.key) - 1];
    if (available[name] && isCommand(event)) store.set({ tab: name, ...STILL });
  });
  store.subscribe((state, previous) => state.tab !== previous.tab && show(state));
  show(store.get());
}

function mountControls(scene) {
  const button = (text, label, act) =>
    h("button", { type: "button", title: label, "aria-label": label, onclick: act }, text);
  byId("controls").append(
    button("+", "Larger", () => scene.zoom(1.4)),
    button("−", "Smaller", () => scene.zoom(1 / 1.4)),
    button("Fit", "Fit the picture to the window (F)", scene.fit),
  );
  document.addEventListener("keydown", (event) => {
    if (isCommand(event) && event.key.toLowerCase() === "f") scene.fit();
  });
}

function mountHelp() {
  const dialog = byId("help");
  const close = h(
    "button",
    { type: "button", class: "plain close", "aria-label": "Close", onclick: () => dialog.close() },
    "×",
  );
  dialog.append(
    close,
    h("h2", {}, "Keys"),
    ...KEYS.map(([title, rows]) =>
      h(
        "section",
        {},
        h("h3", {}, title),
        h("dl", {}, rows.map(([keys, what]) => [h("dt", {}, keys), h("dd", {}, what)]).flat()),
      ),
    ),
  );
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  byId("help-open").addEventListener("click", () => dialog.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && !isTyping(event) && !dialog.open) dialog.showModal();
  });
}

/** One entry for each look that occurs. */
function legend({ boxes, arrows }) {
  const any = (test) => boxes.some(test);
  const sign = (look, shape) =>
    s(
      "svg",
      { viewBox: "0 0 26 16", width: 26, height: 16, "aria-hidden": "true" },
      s("g", { class: look }, shape),
    );
  const rect = (rx) => s("rect", { class: "outline", x: 2, y: 2, width: 22, height: 12, rx });
  const line = () => s("path", { d: "M2,8H24" });
  const isWork = (phase) => (box) => box.phase === phase && box.kind !== "input";
  const entries = [
    [any((box) => box.role === "parameter"), sign("sign input parameter", rect(6)), "parameter"],
    [any((box) => box.kind === "input" && box.role === ""), sign("sign input", rect(6)), "input"],
    [
      any(isWork("forward")),
      sign("sign forward", rect(5)),
      any(isWork("backward")) || any(isWork("update")) ? "forward" : "operation",
    ],
    [any((box) => box.role === "loss"), sign("sign forward loss", rect(5)), "loss"],
    [any(isWork("backward")), sign("sign backward", rect(1)), "backward"],
    [
      any((box) => box.role === "sum"),
      sign("sign backward sum", s("path", { class: "outline", d: "M2,6L6,2H20L24,6V10L20,14H6L2,10Z" })),
      "sum of gradients",
    ],
    [any((box) => box.role === "result"), sign("sign result", rect(3)), "result"],
    [any(isWork("update")), sign("sign update", rect(5)), "update"],
    [arrows.some((arrow) => arrow.saved), sign("line saved", line()), "kept for backward"],
  ];
  return entries.filter(([occurs]) => occurs).map(([, picture, words]) => h("span", {}, picture, words));
}
