"""What is seen of a graph: boxes and arrows, before any colour or place.

`picture` is the one place that decides what becomes a box: every node (levels "ops" and "scalar"), or all
nodes of one scope and phase together (level "high"; there, many inputs that go the same ways, such as all
parameters of a layer, are one box too). Nodes that do nothing are not drawn: `item`, and scalar
constants, which stand in their readers' labels. In the bipartite style each value is a box of its own,
between the box that makes it and those that read it.

>>> from dagexec.graph import INPUT, Graph, Node, Op, Spec
>>> x = Node(INPUT, spec=Spec((3,), "float32"), name="x")
>>> y = Node(Op("exp", lambda x: x, lambda xp: xp.exp), (x,), spec=x.spec)
>>> seen = picture(Graph([x, y], [x], [y]), level="ops")
>>> [box.label for box in seen.boxes], [(arrow.source, arrow.target) for arrow in seen.arrows]
([('x 3',), ('exp 3',)], [('n0', 'n1')])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagexec.draw.folding import Folding, folding
from dagexec.draw.labels import (
    common_name,
    constant_label,
    dims,
    element_label,
    gradient_elements,
    gradient_name,
    is_transpose,
    known_value,
    names_text,
    op_label,
    op_name,
    printable,
    region_label,
    tooltip,
    value_label,
)
from dagexec.graph import CONSTANT, INPUT, ITEM, Graph, Node, Scope, Spec, is_scalar_constant

Group = Any  # what the nodes of one box have in common; for a node drawn by itself, the node
MOST_SHAPES = 2  # on one arrow
MOST_INPUTS = 10  # of more inputs, a folded picture shows those together that the same boxes read


@dataclass(frozen=True, slots=True)
class Box:
    """One thing that is drawn. `key` is its id in the DOT text, `twin` the key of its forward twin's box."""

    key: str
    kind: str  # "op", "fold" (all of a region and phase), "input" (one or many), "value"
    label: tuple[str, ...]
    phase: str
    scope: Scope
    family: str
    role: str = ""  # "loss", "sum" (of gradients), "output"
    twin: str | None = None
    tooltip: tuple[str, ...] = ()
    nodes: int = 1
    name: str = ""  # what others call it
    beside: str | None = None  # the box that an input stands on, as a chip; key of its only reader
    members: tuple[int, ...] = ()  # places of its nodes in the graph


@dataclass(frozen=True, slots=True)
class Arrow:
    """Values that flow from box to box. `saved`: forward values that the backward pass reads."""

    source: str
    target: str
    label: str = ""
    saved: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes in the order of the graph's nodes, and the arrows between them.

    `folded` nodes share a box; `turned` products have a transpose in their label.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    folded: int = 0
    turned: int = 0


def picture(
    graph: Graph, *, level: str, depth: int = 1, brief: bool = False, bipartite: bool = False
) -> Picture:
    """The boxes and arrows of `graph`, which is made of scalars already for level "scalar".

    `depth` and `brief` are for level "high": see `folding`.
    """
    fold = folding(graph, depth, brief=brief) if level == "high" else None
    view = _View(graph, fold, scalar=level == "scalar", bipartite=bipartite)
    boxes = [view.box(group) for group in view.members]
    if bipartite:
        boxes += [view.value_box(value) for value in view.values()]
    folded = sum(box.nodes for box in boxes if box.nodes > 1 and box.kind != "input")
    boxes.sort(key=lambda box: (int(box.key[1:]), box.key))
    turned = sum(any(source in view.turned for source in node.inputs) for node in view.reads)
    return Picture(tuple(boxes), tuple(view.arrows()), folded, turned)


def is_scalar(node: Node) -> bool:
    """Whether the node's value is one number."""
    return isinstance(node.spec, Spec) and node.spec.shape == ()


def is_gradient_sum(node: Node) -> bool:
    """Whether the node adds up what several readers of one value send back.

    The derivation adds cotangents; a gradient rule that adds has a forward value or a constant in it.
    """
    return (
        node.phase == "backward"
        and node.op.name == "add"
        and all(source.phase == "backward" for source in node.inputs)
    )


def loss_of(graph: Graph) -> set[Node]:
    """The scalar results; if the outputs hold none, the scalars that only the backward pass reads."""
    scalars = {
        node
        for node in graph.nodes
        if node.phase == "forward" and is_scalar(node) and node.op.family != "structure"
    }
    losses = scalars.intersection(graph.outputs)
    if losses or all(node.phase == "forward" for node in graph.nodes):
        return losses
    return scalars.difference(
        source for node in graph.nodes if node.phase == "forward" for source in node.inputs
    )


def _flow_label(values: Collection[Node]) -> str:
    """How many values of which shapes flow: `64×256, 2 of 64`, or only how many."""
    shapes = Counter(sorted(dims(value.spec) or "1" for value in values))
    if not all(isinstance(value.spec, Spec) for value in values):
        return f"{len(values)} values" if len(values) > 1 else ""
    if len(shapes) > MOST_SHAPES:
        return f"{len(values)} arrays"
    return ", ".join(f"{count} of {shape}" if count > 1 else shape for shape, count in shapes.items())


def _rules(graph: Graph) -> set[Node]:
    """The nodes of no region that one gradient rule made together with others."""
    loose: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        made_for = node.grad_of
        if node.phase != "backward" or node.scope or made_for is None or made_for.op is INPUT:
            continue
        if node.op is not ITEM and not is_gradient_sum(node):
            loose.setdefault(made_for, []).append(node)
    return {node for nodes in loose.values() if len(nodes) > 1 for node in nodes}


def _turned(graph: Graph) -> set[Node]:
    """The transposes that only products read: they cost nothing, and stand in the products' labels."""
    turned = {node for node in graph.nodes if is_transpose(node)}.difference(graph.outputs)
    for node in graph.nodes:
        if node.op.name != "matmul":
            turned.difference_update(node.inputs)
    return turned


class _View:
    """Which nodes are drawn, which of them share a box, and what each reads. Made once for a picture."""

    def __init__(self, graph: Graph, fold: Folding | None, *, scalar: bool, bipartite: bool) -> None:
        self.fold = fold
        self.scalar = scalar
        self.bipartite = bipartite
        self.position = {node: number for number, node in enumerate(graph.nodes)}
        self.reads: dict[Node, tuple[Node, ...]] = {}  # of each drawn node, looking through what is not drawn
        self.taken: dict[Group, set[Node]] = {}  # all that the nodes of a group read
        self.members: dict[Group, list[Node]] = {}
        self.group_of: dict[Node, Group] = {}  # of each drawn node, and of the items of one
        self.turned = _turned(graph) if fold is None and not scalar else set()
        self.rules = _rules(graph) if fold is not None else set()
        seen_as: dict[Node, tuple[Node, ...]] = {}
        for node in graph.nodes:
            reads = tuple(value for source in node.inputs for value in seen_as[source])
            if is_scalar_constant(node):
                seen_as[node] = ()
            elif node in self.turned or (scalar and not is_scalar(node)):
                seen_as[node] = reads
            else:
                seen_as[node] = (node,)
                self._add(node, reads)
        self.roles = {value: "output" for output in graph.outputs for value in seen_as[output]}
        self.roles |= dict.fromkeys(filter(is_gradient_sum, graph.nodes), "sum")
        self.roles |= dict.fromkeys(loss_of(graph), "loss")
        self.outputs = {value for output in graph.outputs for value in seen_as[output]}
        results = graph.outputs if scalar else ()
        self.elements = {node: name for result in results for node, name in gradient_elements(result).items()}
        inputs = [node for node in graph.inputs if node in self.members]
        if fold is not None:
            self._join(inputs, 2 if len(inputs) > MOST_INPUTS else 3)
            self._join_sums()

    def _join(self, inputs: Sequence[Node], least: int) -> None:
        """Make groups of inputs, at `least` so many, parts of one argument with the same readers."""
        readers: dict[Node, set[Group]] = {node: set() for node in inputs}
        for node, reads in self.reads.items():
            group = self.group_of[node]
            for value in readers.keys() & reads:
                if self._keeper(value, group) is value:
                    readers[value].add(group)
        alike: dict[Group, list[Node]] = {}
        for node, groups in readers.items():
            argument = node.name.partition(".")[0]
            alike.setdefault(("inputs", argument, frozenset(groups)), []).append(node)
        for group, nodes in alike.items():
            if len(nodes) >= least:
                for node in nodes:
                    del self.members[node]
                    self.group_of[node] = group
                self.members[group] = nodes

    def _join_sums(self) -> None:
        """Make sums of gradients that the same boxes send one group."""
        alike: dict[frozenset[Group], list[Group]] = {}
        for group in self.members:
            if isinstance(group, tuple) and group[0] == "sum":
                sources = {self.group_of[value] for value in self.taken[group]} - {group}
                alike.setdefault(frozenset(sources), []).append(group)
        for groups in alike.values():
            if len(groups) > 1:
                joined: Group = ("sums", *(group[1] for group in groups))
                nodes = [node for group in groups for node in self.members.pop(group)]
                self.members[joined] = sorted(nodes, key=self.position.__getitem__)
                self.taken[joined] = set().union(*(self.taken.pop(group) for group in groups))
                self.group_of |= dict.fromkeys(nodes, joined)

    def _add(self, node: Node, reads: tuple[Node, ...]) -> None:
        if node.op is ITEM and reads:
            self.group_of[node] = self.group_of[reads[0]]
            return
        group: Group = node
        if self.fold is not None and node.op not in (INPUT, CONSTANT):
            if is_gradient_sum(node) and node.grad_of is not None and not node.scope:
                group = ("sum", node.grad_of)
            elif region := self.fold.region(node):
                group = (region, node.phase)
            elif node in self.rules:
                group = ("rule", node.grad_of)
        self.reads[node] = reads
        self.taken.setdefault(group, set()).update(reads)
        self.members.setdefault(group, []).append(node)
        self.group_of[node] = group

    def key(self, group: Group) -> str:
        """The id of a box: `n` and the position of its first node in the graph."""
        return f"n{self.position[self.members[group][0]]}"

    def box(self, group: Group) -> Box:
        """The box of a group of nodes."""
        members = tuple([self.position[node] for node in self.members[group]])
        return replace(self._box(group), members=members)

    def _box(self, group: Group) -> Box:
        nodes = self.members[group]
        found = {self.roles.get(node, "") for node in nodes}
        role = next((role for role in ("loss", "output") if role in found), "")
        if len(nodes) == 1:
            return self._single(nodes[0], role)
        counts = Counter(node.op.name for node in nodes)
        details = (f"{len(nodes)} ops", *(f"{count} {name}" for name, count in counts.items()))
        first = nodes[0]
        if group[0] == "inputs":
            return self._inputs(group, nodes, role)
        if group[0] in ("sum", "sums"):
            return self._sums(group, nodes)
        if group[0] == "rule":
            made_for = group[1]
            name = region_label(made_for.op.name, first.phase)
            label = (f"{name} {dims(made_for.spec)}".rstrip(), f"{len(nodes)} ops")
            key, twin = self.key(group), self._key_of(made_for)
            return Box(key, "fold", label, first.phase, (), "fold", role, twin, details, len(nodes), name)
        scope, phase = group
        sliced = self.fold is not None and first in self.fold.slice_of
        name = "/".join(scope)
        label = (printable(name) if sliced else region_label(name, phase), f"{len(nodes)} ops")
        twin = (
            self.key((scope, "forward"))
            if phase != "forward" and (scope, "forward") in self.members
            else None
        )
        return Box(
            self.key(group), "fold", label, phase, scope, "fold", role, twin, details, len(nodes), label[0]
        )

    def _sums(self, group: Group, nodes: list[Node]) -> Box:
        """The box of one sum of gradients, or of several of which each has the same sources."""
        first, values = nodes[0], group[1:]
        name = f"∇{printable(names_text([value.name for value in values], 'arrays'), 30)}"
        name = "" if name == "∇" else name
        added = len(nodes) // len(values) + 1
        shape = f" of {dims(first.spec)}" if dims(first.spec) else ""
        what = f"Σ {added}{shape}" if len(values) == 1 else f"Σ of {added} each"
        label = (name, what) if name else (what,)
        details = tuple(f"∇{value_label(value)}" for value in values)
        key, family, twin = self.key(group), first.op.family, self._key_of(values[0])
        return Box(key, "op", label, first.phase, (), family, "sum", twin, details, len(nodes), name or what)

    def _inputs(self, group: Group, nodes: list[Node], role: str) -> Box:
        name = printable(common_name([node.name for node in nodes]), 30)
        label = (names_text([node.name for node in nodes], "inputs"),)
        details = tuple(value_label(node) for node in nodes)
        family = nodes[0].op.family
        return Box(
            self.key(group), "input", label, "forward", (), family, role, None, details, len(nodes), name
        )

    def _single(self, node: Node, role: str) -> Box:
        kind = "op"
        label = op_label(node, scalar=self.scalar, shape=not self.bipartite, turned=self.turned)
        if node.op is INPUT:
            kind, label = "input", value_label(node)
        elif node.op is CONSTANT:
            kind, label = "input", constant_label(node)
        elif self.scalar and node.op.name == "getitem":
            kind, label = "input", element_label(node)
        elif role == "sum" or is_gradient_sum(node):
            role, label = "sum", f"Σ {'' if self.bipartite else dims(node.spec)}".rstrip()
        wanted = self.elements.get(node) or (gradient_name(node) if node in self.outputs else "")
        gradient = f"∇{wanted}" if wanted else ""
        named = gradient and not self.bipartite
        key = self.key(self.group_of[node])
        twin = None if self.scalar else self._key_of(node.grad_of)  # one op is many scalars
        details = tuple(tooltip(node))
        name = gradient or (printable(label.split(" ")[0], 30) if kind == "input" else op_name(node))
        if role == "sum" and not gradient and node.grad_of is not None and node.grad_of.op is INPUT:
            name = f"Σ of ∇{printable(node.grad_of.name, 30)}"
        lines = tuple(label.split(" ", 1)) if self.bipartite and kind == "input" else (label,)
        if named:
            lines = (f"{gradient} = {label}",) if self.scalar else (f"{gradient} =", *lines)
        if self.fold is not None and kind == "op" and (region := self.fold.region(node)):
            kind, lines = "fold", (region_label("/".join(region), node.phase), *lines)
        if (value := known_value(node)) and (kind == "input" or not self.bipartite):
            lines = (*lines, value)
        return Box(key, kind, lines, node.phase, node.scope, node.op.family, role, twin, details, 1, name)

    def _key_of(self, node: Node | None) -> str | None:
        return self.key(self.group_of[node]) if node in self.group_of else None

    def values(self) -> Iterator[Node]:
        """What a bipartite picture draws as a square: results, of a folded box those that leave it."""
        leaving = {
            value
            for node, reads in self.reads.items()
            for value in reads
            if self.group_of[value] != self.group_of[node]
        }
        for value, group in self.group_of.items():
            alone = len(self.members[group]) == 1
            made = not self._is_source(value) and not isinstance(value.spec, tuple)
            if made and (alone or value in leaving or value in self.outputs):
                yield value

    def value_box(self, value: Node) -> Box:
        """The square of a value."""
        role = self.roles.get(value, "")
        label = (dims(value.spec) or "·") if isinstance(value.spec, Spec) else "value"
        name = gradient_name(value) if value in self.outputs else ""
        lines = (f"∇{name}", label) if name else (label,)
        if shown := known_value(value):
            lines = (*lines, shown)
        key, details = f"v{self.position[value]}", tuple(tooltip(value))
        scope = () if self.fold else value.scope
        name = lines[0] if name else op_name(value)
        return Box(
            key,
            "value",
            lines,
            value.phase,
            scope,
            value.op.family,
            role,
            None,
            details,
            1,
            name,
        )

    def _is_source(self, node: Node) -> bool:
        return node.op in (INPUT, CONSTANT) or (self.scalar and node.op.name == "getitem")

    def _keeper(self, value: Node, reader: Group) -> Group:
        """Where a box gets a value from: what its forward twin has read, from the twin, which keeps it."""
        if isinstance(reader, tuple) and reader[0] == "rule":
            if reader[1] in self.members and value in self.taken.get(reader[1], ()):
                return reader[1]
        elif isinstance(reader, tuple) and reader[1] == "backward":
            twin: Group = (reader[0], "forward")
            if value in self.taken.get(twin, ()):
                return twin
        if isinstance(reader, Node) and reader.phase == "backward" and not (self.bipartite or self.scalar):
            twin = reader.grad_of
            if twin in self.members and twin is not reader and value in self.taken.get(twin, ()):
                return twin
        return self.group_of[value]

    def arrows(self) -> Iterator[Arrow]:
        """One arrow for each pair of boxes between which values flow."""
        through = dict.fromkeys(self.values()) if self.bipartite else {}
        for value in through:
            yield Arrow(self.key(self.group_of[value]), f"v{self.position[value]}", "", False)
        flows: dict[tuple[str, str], list[tuple[Node, Node]]] = {}
        for node, reads in self.reads.items():
            group = self.group_of[node]
            for value in reads:
                keeper = self._keeper(value, group)
                if keeper != group:
                    drawn = value in through and keeper == self.group_of[value]
                    source = f"v{self.position[value]}" if drawn else self.key(keeper)
                    flows.setdefault((source, self.key(group)), []).append((value, node))
        for (source, target), uses in flows.items():
            value, node = uses[0]
            saved = (
                value.phase == "forward" and node.phase == "backward" and value.op not in (INPUT, CONSTANT)
            )
            saved = saved or (value.op in (INPUT, CONSTANT) and source != self.key(self.group_of[value]))
            folded = len(self.members[self.group_of[value]]) > 1
            told = (
                folded
                and not self._is_source(value)
                and not saved
                and not self.bipartite
                and node.phase != "update"
                and not (isinstance(group := self.group_of[node], tuple) and group[0] in ("sum", "sums"))
            )
            label = _flow_label({value for value, _ in uses}) if told else ""
            yield Arrow(source, target, printable(label), saved)
