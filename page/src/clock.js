/** The clock of a replay: it moves `time` on while `playing` is set. */

import { replayIn } from "./replay.js";

const STILL = 500; // milliseconds between two moments where motion is not wanted

/** Start the clock of a store. It stops by itself at the end of a run. */
export function startClock({ data, store }) {
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let last = null; // when time was moved, in milliseconds

  const tick = (now) => {
    const state = store.get();
    if (!isReplaying(state)) {
      last = null;
      return;
    }
    last ??= now;
    if (now - last >= (calm.matches ? STILL : 1)) {
      store.set(moved(state, replayIn(data, state), (now - last) / 1000));
      last = now;
    }
    requestAnimationFrame(tick);
  };

  const begin = () => {
    const state = store.get();
    const { length } = replayIn(data, state);
    if (state.time == null || state.time >= length) store.set({ time: 0, zoom: shifted(state.zoom, 0) });
    requestAnimationFrame(tick);
  };

  store.subscribe((state, previous) => {
    if (isReplaying(state) && !isReplaying(previous)) begin();
  });
}

const isReplaying = ({ playing, tab }) => playing && tab === "run";

/** The state after `seconds` more before the page: a zoomed timeline follows. */
function moved(state, replay, seconds) {
  const time = (state.time ?? 0) + (seconds * replay.length) / state.pace;
  if (time >= replay.length) return { time: null, playing: false };
  return { time, zoom: shifted(state.zoom, time) };
}

/** The zoom, moved so that it shows `time`. */
function shifted(zoom, time) {
  if (!zoom || (time >= zoom[0] && time <= zoom[1])) return zoom;
  return [time, time + zoom[1] - zoom[0]];
}
