/** The panel: everything about the selected node, or about the box that holds it, or about the graph. */

import { h } from "./dom.js";
import { statistics } from "./heat.js";
import { counted, plural, quantity } from "./labels.js";
import { nodeLink } from "./links.js";
import { enclosing } from "./tree.js";

const MOST_LINKS = 24;

/** @param {HTMLElement} element */
export function mount(element, context) {
  const { model, store, scene } = context;
  const show = () => {
    const { select, whole } = store.get();
    const box = select === null ? null : scene.picture().boxes[scene.picture().boxOf[select]];
    const isWhole = whole && box && box.nodes.length > 1;
    element.replaceChildren(
      ...(select === null
        ? ofGraph(context)
        : isWhole
          ? ofBox(box, context)
          : ofNode(select, box, context)
      ).filter(Boolean),
    );
    element.scrollTop = 0;
  };
  store.subscribe((state, previous) => {
    if (state.select !== previous.select || state.whole !== previous.whole) show();
  });
  scene.listen("drawn", show);
  if (model.count) show();
}

const section = (title, ...content) => h("section", {}, h("h3", {}, title), ...content);
const facts = (rows) =>
  h(
    "dl",
    { class: "facts" },
    rows.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );

/** Links to nodes; of very many the first. */
function links(title, nodes, context) {
  if (!nodes.length) return null;
  const list = h(
    "div",
    { class: "links" },
    nodes.slice(0, MOST_LINKS).map((i) => nodeLink(i, context)),
  );
  const rest = nodes.slice(MOST_LINKS);
  const more =
    rest.length &&
    h(
      "button",
      {
        type: "button",
        class: "plain",
        onclick: () => {
          list.append(...rest.slice(0, 10 * MOST_LINKS).map((i) => nodeLink(i, context)));
          more.remove();
        },
      },
      `${plural(Math.min(rest.length, 10 * MOST_LINKS), "more", "more")}`,
    );
  return section(`${title} (${counted(nodes.length)})`, list, more || null);
}

/** The scopes around, each a button that folds or unfolds it. */
function scopes(groups, { drawing }) {
  if (!groups.length) return null;
  return section(
    "In",
    h(
      "div",
      { class: "crumbs" },
      groups.map(({ path, name }) => {
        const isOpen = drawing.isOpen(path);
        return h(
          "button",
          {
            type: "button",
            "aria-expanded": String(isOpen),
            title: isOpen ? "Fold" : "Unfold",
            onclick: () => drawing.toggle(path),
          },
          h("i", { "aria-hidden": "true" }, isOpen ? "−" : "+"),
          h("span", {}, name),
        );
      }),
    ),
  );
}

function heading(title, kind, detail) {
  return h(
    "header",
    {},
    h("span", { class: `kind ${kind}` }, kind === "all" ? "graph" : kind),
    h("h2", {}, title),
    detail ? h("p", {}, detail) : null,
  );
}

function ofGraph(context) {
  const { data, model } = context;
  const work = model.seen.filter((i) => !model.isSource(i));
  const sum = (column) => work.reduce((total, i) => total + (data.nodes[column][i] || 0), 0);
  return [
    heading(data.name, "all", data.file),
    facts([
      ["operations", counted(work.length)],
      ["work", sum("flops") ? quantity(sum("flops"), "flop") : ""],
      ["results", sum("bytes") ? quantity(sum("bytes"), "B") : ""],
    ]),
    data.loss >= 0 ? links("Loss", [model.seenAs[data.loss]], context) : null,
    links(
      "Inputs",
      data.inputs.map(({ node }) => node),
      context,
    ),
    links(
      "Results",
      [...model.results.keys()].filter((i) => i >= 0 && i !== data.loss),
      context,
    ),
  ];
}

function ofBox(box, context) {
  const { data, model, drawing } = context;
  const counts = new Map();
  for (const i of box.nodes) counts.set(model.op(i).name, (counts.get(model.op(i).name) ?? 0) + 1);
  const sum = (column) => box.nodes.reduce((total, i) => total + (data.nodes[column][i] || 0), 0);
  const group = box.path === null ? null : drawing.tree().groups.get(box.path);
  const sign = box.phase === "backward" ? "∇" : "";
  return [
    heading(group ? sign + group.name : box.lines[0], box.kind === "input" ? "input" : box.phase, null),
    group &&
      h("button", { type: "button", class: "wide", onclick: () => drawing.toggle(group.path) }, "Unfold"),
    facts([
      [box.kind === "input" ? "values" : "operations", counted(box.nodes.length)],
      ["work", sum("flops") ? quantity(sum("flops"), "flop") : ""],
      ["results", sum("bytes") ? quantity(sum("bytes"), "B") : ""],
    ]),
    box.kind !== "input" &&
      section(
        "Operations",
        h(
          "ul",
          { class: "counts" },
          [...counts]
            .sort((a, b) => b[1] - a[1])
            .slice(0, 12)
            .map(([name, count]) => h("li", {}, h("span", {}, name), h("b", {}, counted(count)))),
        ),
      ),
    scopes(box.frames, context),
    links("Nodes", box.nodes, context),
  ];
}

function ofNode(i, box, context) {
  const { data, model, drawing } = context;
  const { nodes } = data;
  const place = data.places[nodes.where[i]];
  const op = model.op(i);
  const name = model.results.get(i) ?? model.name(i);
  const gradient = model.gradientOf.get(i);
  const { gradOf } = nodes;
  const made = gradOf[i] >= 0 ? [model.seenAs[gradOf[i]]] : [];
  const groups = model.isSource(i) ? [] : enclosing(drawing.tree().groupOf[model.seenAs[i]]);
  return [
    heading(
      name || op.name,
      model.isSource(i) ? op.name : model.phase(i),
      name && name !== op.name ? op.name : null,
    ),
    box &&
      box.nodes.length > 1 &&
      h(
        "p",
        { class: "folded" },
        "Folded in ",
        h(
          "button",
          { type: "button", onclick: () => context.store.set({ select: box.nodes[0], whole: true }) },
          box.lines[0],
        ),
      ),
    facts([
      ["result", model.spec(i)],
      ["with", nodes.params?.[i]],
      ["value", nodes.constant?.[i]],
      ["cost", nodes.flops[i] ? quantity(nodes.flops[i], "flop") : ""],
      ["size", nodes.bytes[i] ? quantity(nodes.bytes[i], "B") : ""],
    ]),
    place &&
      section(
        "Line",
        h("p", { class: "where" }, `${place.file}:${place.line}`),
        place.text ? h("pre", {}, place.text) : null,
      ),
    data.values?.[i] && statistics("Value", data.values[i]),
    gradient !== undefined && data.values?.[gradient] && statistics("Gradient", data.values[gradient]),
    links("Gradient of it", gradient === undefined ? [] : [model.seenAs[gradient]], context),
    links("Made by the rule of", made, context),
    op.rule && section("Gradient rule", h("pre", {}, op.rule)),
    links("Reads", model.reads[i], context),
    links("Read by", model.readers[i], context),
    scopes(groups, context),
  ];
}
