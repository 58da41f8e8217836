/**
 * Graphviz in WebAssembly, in a worker made from this very script: nothing is fetched, and a long layout
 * leaves the page at work. Where a browser refuses such a worker, Graphviz runs in the page.
 */

import { Graphviz } from "@hpcc-js/wasm-graphviz";

/** The worker's side: answers each list of DOT texts with the list of their layouts, null where one failed. */
export function serve() {
  Graphviz.load(); // while the page reads its data
  self.addEventListener("message", async ({ data: { id, texts } }) =>
    self.postMessage({ id, layouts: await run(texts) }),
  );
}

async function run(texts) {
  const graphviz = await Graphviz.load();
  return texts.map((text) => {
    try {
      return graphviz.layout(text, "plain", "dot");
    } catch (error) {
      console.warn(`Graphviz failed, boxes are set in columns: ${error.message ?? error}`);
      return null;
    }
  });
}

/**
 * @param {string} script the text of this script
 * @returns {(texts: string[]) => Promise<(string|null)[]>} lays texts out; a new call gives up the one before
 */
export function graphviz(script) {
  let worker = null;
  let refused = false;
  let waiting = null;
  let count = 0;

  function start() {
    const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    worker = new Worker(url);
    worker.onmessage = ({ data }) => {
      const found = waiting;
      if (found?.id !== data.id) return;
      waiting = null;
      found.resolve(data.layouts);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      refused = true;
      const found = waiting;
      waiting = null;
      if (found) run(found.texts).then(found.resolve);
    };
  }

  function restart() {
    worker?.terminate();
    worker = null;
    try {
      start();
    } catch {
      refused = true;
    }
  }

  restart();
  return function layOut(texts) {
    if (waiting && !refused) restart(); // busy with what nobody waits for any more
    waiting = null;
    if (refused) return new Promise((resolve) => setTimeout(() => resolve(run(texts)), 30));
    return new Promise((resolve) => {
      waiting = { id: ++count, texts, resolve };
      worker.postMessage({ id: waiting.id, texts });
    });
  };
}
