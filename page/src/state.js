/**
 * The state of the page: one plain object, mirrored in the location's hash.
 *
 *     const store = createStore(initial, isNode);
 *     store.subscribe((state, previous) => { if (state.step !== previous.step) ... });
 *     store.set({ step: 4 });
 *
 * Every key has one row in `KEYS`: how it is written and read, and its default, which is left out of the hash.
 * A change of `tab`, `open` or `select` makes an entry in the browser's history; what changes many times a
 * second (`step`, `time`) only replaces the current one.
 */

/**
 * @typedef {object} State
 * @property {"derive"|"run"|"explore"} tab
 * @property {number|null} step backward nodes shown; null is all
 * @property {string[]|null} open paths of the unfolded scopes; null is as many as have room
 * @property {number|null} select a node
 * @property {boolean} whole whether the whole box that holds the selected node is meant
 * @property {string} query what is searched
 * @property {number|null} steps how many scopes of a numbered family are drawn; null is as many as have room
 * @property {number} run position in data.runs
 * @property {number|null} time seconds since the run's start; null is its end
 * @property {boolean} playing whether the run's replay goes on; not in the hash
 * @property {boolean} sliding whether the derivation goes on by itself; not in the hash
 * @property {[number, number]|null} zoom seconds shown in the timeline; null is all
 * @property {"worker"|"phase"} colour what the bars of the timeline are coloured by
 * @property {number} pace seconds that a replay of the whole run takes
 */

const TABS = ["derive", "run", "explore"];
const COLOURS = ["worker", "phase"];
export const PACES = [5, 10, 20, 60];
const BAD = Symbol("not a value of this key");

const count = (text) => (/^\d{1,9}$/.test(text) ? Number(text) : BAD);
const seconds = (text) => (/^\d+(\.\d+)?(e-?\d+)?$/.test(text) ? Number(text) : BAD);
const digits = (value) => String(Number(value.toPrecision(6)));

/** What stays readable in a hash. Within a path, a comma is escaped twice: it parts paths. */
const written = (text) =>
  encodeURIComponent(text).replace(/%(2F|5B|5D|2C|20)/g, (code) =>
    code === "%20" ? "+" : decodeURIComponent(code),
  );
const read = (text) => decodeURIComponent(text.replaceAll("+", "%20"));
const pathsWritten = (paths) => paths.map((path) => path.replace(/[%,]/g, encodeURIComponent)).join(",");
const pathsRead = (text) => (text ? text.split(",").map(decodeURIComponent) : []);

/** @type {Record<string, {initial: any, write: (value: any) => string, read: (text: string) => any}>} */
const KEYS = {
  tab: { initial: "derive", write: String, read: (text) => (TABS.includes(text) ? text : BAD) },
  step: { initial: null, write: String, read: count },
  open: { initial: null, write: pathsWritten, read: pathsRead },
  select: { initial: null, write: String, read: count },
  whole: { initial: false, write: () => "1", read: (text) => (text === "1" ? true : BAD) },
  query: { initial: "", write: String, read: (text) => text.slice(0, 200) },
  steps: { initial: null, write: String, read: (text) => (count(text) > 0 ? count(text) : BAD) },
  run: { initial: 0, write: String, read: count },
  time: { initial: null, write: digits, read: seconds },
  zoom: {
    initial: null,
    write: (zoom) => zoom.map(digits).join("-"),
    read: (text) => {
      const ends = text.split(/(?<!e)-/).map(seconds);
      return ends.length === 2 && !ends.includes(BAD) && ends[0] < ends[1] ? ends : BAD;
    },
  },
  colour: { initial: "worker", write: String, read: (text) => (COLOURS.includes(text) ? text : BAD) },
  pace: { initial: 10, write: String, read: (text) => (PACES.includes(Number(text)) ? Number(text) : BAD) },
};

/** Whether two states differ in one of these keys. */
export const changed = (keys, state, previous) => keys.some((key) => state[key] !== previous[key]);

const MAKES_HISTORY = ["tab", "open", "select", "steps", "run"];

/** @returns {State} */
const initialState = () => ({
  ...Object.fromEntries(Object.entries(KEYS).map(([key, row]) => [key, row.initial])),
  playing: false,
  sliding: false,
});

/** The hash, with its sign, that stands for a state. */
function hashOf(state) {
  const same = (key) => JSON.stringify(state[key]) === JSON.stringify(KEYS[key].initial);
  const parts = Object.keys(KEYS)
    .filter((key) => !same(key))
    .map((key) => `${key}=${written(KEYS[key].write(state[key]))}`);
  return parts.length ? "#" + parts.join("&") : "";
}

/**
 * The state that a hash stands for, and the parts of it that could not be read.
 * @returns {{state: State, ignored: string[], given: Set<string>}}
 */
function stateOf(hash) {
  const state = initialState();
  const ignored = [];
  const given = new Set();
  for (const part of hash.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, ...rest] = part.split("=");
    const value = Object.hasOwn(KEYS, key) ? valueOf(key, rest.join("=")) : BAD;
    if (value === BAD) ignored.push(part);
    else {
      state[key] = value;
      given.add(key);
    }
  }
  return { state, ignored, given };
}

function valueOf(key, text) {
  try {
    return KEYS[key].read(read(text));
  } catch {
    return BAD; // an escape that is none
  }
}

/**
 * The one place that knows the state.
 * @param {(state: State, given: Set<string>) => string[]} wrong puts right what this graph does not have, and
 *   says what of the keys given in the hash that was
 * @param {(ignored: string[]) => void} notice told what of a hash was ignored
 */
export function createStore(wrong, notice) {
  const listeners = new Set();
  let state = load();
  let timer = 0;
  let lasting = false;

  function load() {
    const { state: found, ignored, given } = stateOf(location.hash);
    const problems = [...ignored, ...wrong(found, given)];
    if (problems.length) notice(problems);
    return found;
  }

  function publish(next) {
    const previous = state;
    state = next;
    for (const listener of listeners) listener(state, previous);
  }

  function write() {
    timer = 0;
    if (state.playing) return; // then it changes all the time; Safari counts
    const hash = hashOf(state);
    if (hash !== location.hash) {
      const url = hash || location.pathname + location.search;
      if (lasting) history.pushState(null, "", url);
      else history.replaceState(null, "", url);
    }
    lasting = false;
  }

  addEventListener("popstate", () => publish({ ...load(), playing: false }));

  return {
    /** @returns {State} */
    get: () => state,
    /** Changes some keys, tells the listeners, and soon writes the hash. @param {Partial<State>} patch */
    set(patch) {
      const changed = Object.keys(patch).filter((key) => patch[key] !== state[key]);
      if (!changed.length) return;
      lasting ||= changed.some((key) => MAKES_HISTORY.includes(key));
      // Browsers refuse more than some hundred changes of the address in a few seconds.
      timer ||= setTimeout(write, 150);
      publish({ ...state, ...patch });
    },
    /** Calls `listener(state, previous)` after each change; returns what ends that. */
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
