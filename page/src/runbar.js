/** The controls and facts of the Run tab, each a function that makes an element and keeps it up to date. */

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { counted, duration, plural, quantity } from "./labels.js";
import { PHASES } from "./model.js";
import { begun, ended, factsOf, replayIn } from "./replay.js";
import { timeWithin } from "./scales.js";
import { changed, PACES } from "./state.js";

/** Show now, and again when one of `keys` changes. */
function keepShown(store, keys, show) {
  store.subscribe((state, previous) => {
    if (changed(keys, state, previous)) show(state);
  });
  show(store.get());
}

export function playButton({ store }) {
  const turn = () => store.set({ playing: !store.get().playing });
  const button = h("button", {
    type: "button",
    class: "play",
    title: "Play or pause (Space)",
    onclick: turn,
  });
  keepShown(store, ["playing"], ({ playing }) => {
    button.replaceChildren(icon(playing ? "pause" : "play"));
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
  });
  return button;
}

/** After a choice by pointer the keys are the replay's again; by keys, they stay the field's. */
const release = (field) => field.matches(":focus-visible") || field.blur();

/** How long a replay of the whole run takes, and how many times slower than the run that is. */
export function paceChoice({ data, store }) {
  const options = PACES.map((pace) => h("option", { value: pace }, `${pace} s`));
  const choice = h(
    "select",
    {
      "aria-label": "Seconds that a replay takes",
      onchange: () => {
        store.set({ pace: Number(choice.value) });
        release(choice);
      },
    },
    options,
  );
  const factor = h("span", { class: "quiet" });
  keepShown(store, ["pace", "run"], (state) => {
    choice.value = state.pace;
    const slower = state.pace / replayIn(data, state).length;
    const times = (value) => Number(value.toPrecision(2)).toLocaleString("en-GB");
    factor.textContent = slower >= 1 ? `${times(slower)} times slower` : `${times(1 / slower)} times faster`;
  });
  return h("label", { class: "pace" }, "replay in ", choice, factor);
}

export function readout({ data, store }) {
  const time = h("b", { class: "time" });
  const tasks = h("span", { class: "quiet" });
  keepShown(store, ["time", "run"], (state) => {
    const replay = replayIn(data, state);
    const now = Math.min(state.time ?? replay.length, replay.length);
    time.textContent = timeWithin(now, replay.length);
    const [done, active] = [ended(replay, now), begun(replay, now) - ended(replay, now)];
    tasks.textContent =
      `${counted(done)} of ${plural(replay.count, "task")} done` + (active ? `, ${active} running` : "");
  });
  return h("div", { class: "readout" }, time, tasks);
}

/** A button for each run, with a line as long as the run took. */
export function runChoice({ data, store }) {
  const longest = Math.max(...data.runs.map((run) => run.seconds));
  const buttons = data.runs.map((run, number) => {
    const line = h("i", { class: "run-length", "aria-hidden": "true" });
    line.style.width = `${(100 * run.seconds) / longest}%`;
    const workers = run.workers > 1 ? ` ×${run.workers}` : "";
    const field = h("input", {
      type: "radio",
      name: "run",
      value: number,
      onchange: () => choose(number, field),
    });
    return h(
      "label",
      { class: "run-choice" },
      field,
      h("span", {}, run.executor + workers),
      h("span", { class: "quiet" }, duration(run.seconds)),
      line,
    );
  });
  const choose = (number, field) => {
    const state = store.get();
    const [from, to] = [replayIn(data, state).length, replayIn(data, { run: number }).length];
    store.set({ run: number, zoom: null, time: state.time == null ? null : (state.time / from) * to });
    release(field);
  };
  keepShown(store, ["run"], ({ run }) => {
    buttons.forEach((button, number) => (button.querySelector("input").checked = number === run));
  });
  return h("div", { class: "run-choices", role: "radiogroup", "aria-label": "Recorded run" }, buttons);
}

/** What the run comes to, as a line of facts. */
export function facts({ data, store }) {
  const serial = data.runs.find((run) => run.executor === "serial");
  const line = h("dl", { class: "run-facts" });
  keepShown(store, ["run"], (state) => {
    const replay = replayIn(data, state);
    const found = factsOf(replay, replay.executor === "serial" ? null : serial);
    const percent = (share) => `${Math.round(100 * share)} %`;
    const rows = [
      [duration(found.seconds), "in all"],
      found.speedup && [`${Number(found.speedup.toPrecision(2))} times`, "as fast as serial"],
      [percent(found.critical), "of it on the critical path"],
      [percent(found.idle), replay.lanes.length > 1 ? "of the workers idle" : "of the worker idle"],
      found.peak && [quantity(found.peak, "B"), "peak memory"],
    ];
    line.replaceChildren(
      ...rows.filter(Boolean).map(([value, name]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
    );
  });
  return line;
}

export function colourChoice({ store }) {
  const fields = ["worker", "phase"].map((colour) => {
    const field = h("input", {
      type: "radio",
      name: "colour",
      value: colour,
      onchange: () => {
        store.set({ colour });
        release(field);
      },
    });
    return h("label", {}, field, h("span", {}, colour));
  });
  keepShown(store, ["colour"], ({ colour }) => {
    for (const label of fields) label.firstChild.checked = label.firstChild.value === colour;
  });
  return h("div", { class: "segments", role: "radiogroup", "aria-label": "Colour of the bars" }, fields);
}

/** What the colours and lines of the timeline mean; the workers' colours stand at their lanes. */
export function legend({ data, store }) {
  const line = h("div", { class: "run-legend" });
  const entry = (name) => h("span", {}, h("i", { class: `swatch ${name.split(" ")[0]}` }), name);
  keepShown(store, ["colour"], ({ colour }) => {
    const phases = colour === "phase" ? PHASES.filter((_, phase) => data.nodes.phase.includes(phase)) : [];
    line.replaceChildren(...[...phases, "critical path", "idle"].map(entry));
  });
  return line;
}
