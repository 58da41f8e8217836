/** A recorded run, arranged for replay: what runs at a moment, what has ended, who idled. Pure functions. */

/**
 * The run `number` of the data, by task in the order of start.
 *
 * @returns {{executor: string, workers: number, seconds: number, length: number, count: number,
 *   start: number[], end: number[], lane: Uint16Array, nodes: number[][], lanes: object[],
 *   byEnd: Uint32Array, critical: Uint8Array, path: number[], taskOf: Int32Array, memory: object}}
 *   `seconds` is the end of the last task, `length` that of the last event: values are freed after it.
 */
function replayOf(data, number) {
  const run = data.runs[number];
  const { nodes, worker, start, end } = run.tasks;
  const count = start.length;
  const workers = lanesOf(worker, run.workers);
  const laneOf = new Map(workers.map((name, index) => [name, index]));
  const lane = Uint16Array.from(worker, (name) => laneOf.get(name));
  const lanes = workers.map((name) => ({ worker: name, tasks: [], busy: 0 }));
  for (let task = 0; task < count; task++) {
    lanes[lane[task]].tasks.push(task);
    lanes[lane[task]].busy += end[task] - start[task];
  }
  const critical = new Uint8Array(count);
  for (const task of run.critical) critical[task] = 1;
  const taskOf = new Int32Array(data.nodes.op.length).fill(-1);
  nodes.forEach((members, task) => members.forEach((node) => (taskOf[node] = task)));
  const memory = memoryOf(run.memory);
  const lastEnd = end.reduce((latest, time) => Math.max(latest, time), 0);
  return {
    executor: run.executor,
    workers: run.workers,
    seconds: run.seconds,
    length: Math.max(lastEnd, memory.time.at(-1) ?? 0) || run.seconds || 1e-9,
    count,
    start,
    end,
    lane,
    nodes,
    lanes,
    byEnd: Uint32Array.from(start.keys()).sort((a, b) => end[a] - end[b] || a - b),
    critical,
    path: [...run.critical].sort((a, b) => start[a] - start[b]),
    taskOf,
    memory,
  };
}

/** The workers' numbers, those that ran no task included. */
function lanesOf(worker, wanted) {
  const seen = new Set(worker);
  const first = seen.size ? Math.min(...seen) : 0;
  for (let name = first; seen.size < wanted; name++) seen.add(name);
  return [...seen].sort((a, b) => a - b);
}

function memoryOf({ time, bytes }) {
  let at = 0;
  for (let index = 1; index < bytes.length; index++) if (bytes[index] > bytes[at]) at = index;
  return { time, bytes, peak: bytes.length ? { time: time[at], bytes: bytes[at] } : { time: 0, bytes: 0 } };
}

/** How many of the sorted numbers `at(0), at(1), ... at(count - 1)` are at most `limit`. */
export function countUpTo(count, at, limit) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(middle) <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The tasks that have begun by `time`: the first of the run. */
export const begun = (replay, time) => countUpTo(replay.count, (task) => replay.start[task], time);

/** The tasks that have ended by `time`: the first of `byEnd`. */
export const ended = (replay, time) =>
  countUpTo(replay.count, (index) => replay.end[replay.byEnd[index]], time);

/** The task that the worker of a lane is in at `time`, or -1. */
export function taskAt(replay, lane, time) {
  const { tasks } = replay.lanes[lane];
  const place = countUpTo(tasks.length, (index) => replay.start[tasks[index]], time) - 1;
  return place >= 0 && time < replay.end[tasks[place]] ? tasks[place] : -1;
}

/** The tasks that run at `time`, one a lane at most. */
export const running = (replay, time) =>
  replay.lanes.map((_, lane) => taskAt(replay, lane, time)).filter((task) => task >= 0);

/** The bytes that computed values hold at `time`. */
export function bytesAt({ memory: { time: times, bytes } }, time) {
  const place = countUpTo(times.length, (index) => times[index], time) - 1;
  return place >= 0 ? bytes[place] : 0;
}

/** What a run comes to, as numbers; shares are of 1. `serial` is the serial run to compare with, or null. */
export function factsOf(replay, serial) {
  const busy = replay.lanes.reduce((sum, lane) => sum + lane.busy, 0);
  const onPath = replay.path.reduce((sum, task) => sum + replay.end[task] - replay.start[task], 0);
  return {
    seconds: replay.seconds,
    speedup: serial && replay.seconds ? serial.seconds / replay.seconds : null,
    critical: replay.seconds ? onPath / replay.seconds : 0,
    idle: replay.seconds ? Math.max(0, 1 - busy / (replay.seconds * replay.lanes.length)) : 0,
    peak: replay.memory.peak.bytes,
  };
}

/** What a task is called: the name or op of its node, or of the first and the last that are joined. */
export function taskName(data, replay, task) {
  const members = replay.nodes[task];
  const name = nodeName(data, members.at(-1));
  return members.length > 1 ? `${nodeName(data, members[0])} … ${name} (${members.length} nodes)` : name;
}

const nodeName = (data, node) => data.nodes.name[node] ?? data.ops[data.nodes.op[node]].name;

/** The phase of a task: that of its last node. */
export const phaseOf = (data, replay, task) => data.nodes.phase[replay.nodes[task].at(-1)];

const arranged = new WeakMap();

/** The run that is chosen in `state`, arranged once. */
export function replayIn(data, { run }) {
  if (!arranged.has(data)) arranged.set(data, []);
  const known = arranged.get(data);
  const number = Math.min(run ?? 0, data.runs.length - 1);
  return (known[number] ??= replayOf(data, number));
}
