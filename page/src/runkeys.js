/** The keys of the Run tab. */

import { isModified } from "./dom.js";
import { zoomBy } from "./pointer.js";
import { countUpTo, replayIn, running } from "./replay.js";

const ZOOM = 1.5;

/** Listen while the tab is shown. */
export function listenToKeys({ data, store }) {
  document.addEventListener("keydown", (event) => {
    const state = store.get();
    if (state.tab !== "run" || isModified(event) || event.defaultPrevented) return;
    if (event.target.closest?.(takers(event.key))) return;
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act({ data, store, state, replay: replayIn(data, state), shift: event.shiftKey });
  });
}

/** Where a key means something else: a choice takes arrows, a button what presses it, a field all. */
function takers(key) {
  const always = "input:not([type=radio]), select, textarea, dialog, [role=tab]";
  if (key.startsWith("Arrow")) return `${always}, input`;
  return [" ", "Enter"].includes(key) ? `${always}, button` : always;
}

const keys = {
  " ": ({ store, state }) => store.set({ playing: !state.playing }),
  ArrowRight: (now) => step(now, 1),
  ArrowLeft: (now) => step(now, -1),
  Home: ({ store }) => store.set({ time: 0, playing: false }),
  End: ({ store }) => store.set({ time: null, playing: false }),
  Enter: ({ store, state, replay }) => {
    const task = running(replay, state.time ?? replay.length).at(-1);
    if (task !== undefined) store.set({ select: replay.nodes[task].at(-1), whole: false });
  },
  "+": (now) => zoom(now, 1 / ZOOM),
  "-": (now) => zoom(now, ZOOM),
  0: ({ store }) => store.set({ zoom: null }),
};

/** To the next or the last start of a task; with shift, of one on the critical path. */
function step({ store, state, replay, shift }, by) {
  const starts = shift ? replay.path.map((task) => replay.start[task]) : replay.start;
  const now = state.time ?? replay.length;
  const before = countUpTo(starts.length, (index) => starts[index], now);
  const target = by > 0 ? before : before - 1 - (starts[before - 1] === now ? 1 : 0);
  const time = target < 0 ? 0 : target >= starts.length ? null : starts[target];
  store.set({ time, playing: false });
}

function zoom({ data, store, state, replay }, factor) {
  const [from, to] = state.zoom ?? [0, replay.length];
  const now = state.time ?? replay.length;
  zoomBy(store, data, factor, now >= from && now <= to ? now : (from + to) / 2);
}
