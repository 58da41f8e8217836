/** The lights of a replay in the graph: what runs, what is done, in its worker's colour; the critical path. */

import { begun, ended, replayIn, running } from "./replay.js";
import { changed } from "./state.js";
import { WORKER_COLOURS } from "./surface.js";

const REST = 4; // times as long as lighting took, before the next in a replay: a large graph stays smooth
const STYLES = Array.from({ length: WORKER_COLOURS }, (_, lane) => ({ "--worker": `var(--worker-${lane})` }));

/** Light the scene's boxes as long as the Run tab is shown. */
export function mount({ data, model, store, scene }) {
  const dark = { replay: null, begun: -1, ended: -1, time: 0 };
  let lit = dark;
  let restUntil = 0;

  const mark = (name, nodes, replay) =>
    scene.mark(name, nodes, (node) => STYLES[replay.lane[replay.taskOf[node]] % WORKER_COLOURS]);

  const turnOff = () => {
    if (lit === dark) return;
    for (const name of ["done", "running", "critical"]) scene.mark(name, []);
    scene.markArrows("critical", []);
    lit = dark;
  };

  const show = (state) => {
    const replay = replayIn(data, state);
    const time = Math.min(state.time ?? replay.length, replay.length);
    const now = { replay, begun: begun(replay, time), ended: ended(replay, time), time };
    const begin = performance.now();
    if (state.playing && begin < restUntil) return;
    if (replay !== lit.replay) {
      scene.mark("critical", nodesOf(replay, replay.path));
      scene.markArrows("critical", steps(model, replay));
    }
    if (replay !== lit.replay || now.ended !== lit.ended) {
      mark("done", nodesOf(replay, replay.byEnd.subarray(0, now.ended)), replay);
    }
    mark("running", nodesOf(replay, activeIn(replay, lit, now, state.playing)), replay);
    lit = now;
    restUntil = performance.now() + REST * (performance.now() - begin);
  };

  const update = (state) => {
    scene.svg.classList.toggle("replay", state.tab === "run");
    if (state.tab === "run") show(state);
    else turnOff();
  };
  store.subscribe((state, previous) => {
    if (changed(["tab", "run", "time", "playing"], state, previous)) update(state);
  });
  update(store.get());
}

/** The nodes of tasks, in a plain loop: there may be very many, many times a second. */
function nodesOf(replay, tasks) {
  const nodes = [];
  for (const task of tasks) for (const node of replay.nodes[task]) nodes.push(node);
  return nodes;
}

/** What runs now; in a replay also what began since it was last shown, or short tasks would never light. */
function activeIn(replay, lit, now, isPlaying) {
  const active = running(replay, now.time);
  if (!isPlaying || lit.replay !== replay || now.time < lit.time) return active;
  const since = Array.from({ length: Math.max(0, now.begun - lit.begun) }, (_, index) => lit.begun + index);
  return [...new Set([...since, ...active])];
}

/** The edges of the critical path: within its tasks, and from one to the next. */
function steps(model, replay) {
  const place = new Map(replay.path.map((task, index) => [task, index]));
  return replay.path.flatMap((task, index) =>
    replay.nodes[task].flatMap((node) =>
      model.reads[node]
        .filter((read) => [index - 1, index].includes(place.get(replay.taskOf[read])))
        .map((read) => [read, node]),
    ),
  );
}
