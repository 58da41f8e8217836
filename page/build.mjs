/** Bundles src/ into dagexec/page/assets: page.js, page.css, and the licence of what is bundled. */
import { build } from "esbuild";
import { readFile, stat, writeFile } from "node:fs/promises";

const ASSETS = new URL("../dagexec/page/assets/", import.meta.url).pathname;
const LARGEST = 1.8e6; // bytes of page.js, so that a page stays under 3 MB
const PREFACE = `page.js contains @hpcc-js/wasm-graphviz, https://github.com/hpcc-systems/hpcc-js-wasm, under the
licence below. That contains Graphviz, compiled to WebAssembly, under the Eclipse Public License 2.0
(LICENSE.graphviz.txt); its source code is at https://gitlab.com/graphviz/graphviz.

`;

await build({
  entryPoints: { page: "src/main.js" },
  outdir: ASSETS,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii", // read as it is, whatever encoding a page is served with
  legalComments: "none", // they stand in the licence file
});
await build({ entryPoints: ["src/page.css"], outdir: ASSETS, bundle: true, minify: true });
const licence = await readFile("node_modules/@hpcc-js/wasm-graphviz/LICENSE", "utf8");
await writeFile(ASSETS + "LICENSE.wasm-graphviz.txt", PREFACE + licence);

const script = await readFile(ASSETS + "page.js", "utf8");
const { size } = await stat(ASSETS + "page.js");
if (size > LARGEST) throw new Error(`page.js has ${size} bytes, more than ${LARGEST}`);
const breaking = /<\/script|<!--/i.exec(script); // would end or change the script element it is put into
if (breaking) throw new Error(`page.js holds ${breaking[0]} at ${breaking.index}`);
console.log(`page.js: ${(size / 1e6).toFixed(2)} MB`);
