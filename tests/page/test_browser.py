"""The page in a browser: derivation, folding, search, panel, addresses, hostile names, against the graph."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

import dagexec
from tests.page.browsing import SETTLED, data_of

HOSTILE = (
    "<script>window.hit = 1</script>",
    "<img src=x onerror=window.hit=1>",
    "\"quoted' & &lt;b&gt;",
    "javascript:window.hit=1",
    "back\\slash\nline\u2028break",
    "</script><h1>out</h1>",
    "\u202eright to left",
)
NOT_SEEN = ("item",)


def boxes(page, selector=""):
    """(phase, node, path) of the boxes that are drawn and not pending."""
    return set(
        map(
            tuple,
            page.evaluate(
                """selector => [...document.querySelectorAll(`.graph .box${selector}`)]
                    .filter((box) => getComputedStyle(box).visibility === "visible")
                    .map((box) => [
                        ["forward", "backward", "update"].find((phase) => box.classList.contains(phase)),
                        "node" in box.dataset ? Number(box.dataset.node) : null,
                        box.dataset.path ?? null,
                    ])""",
                selector,
            ),
        )
    )


def nodes_of(page, name):
    return {node for _, node, _ in boxes(page, f".{name}")}


def hash_of(page):
    page.clock.fast_forward(SETTLED)
    return page.evaluate("location.hash")


def operations(graph, phase):
    """The numbers of the nodes of a phase that compute something."""
    return [
        number
        for number, node in enumerate(graph.nodes)
        if node.phase == phase and node.op.name not in ("input", "constant", "item")
    ]


def everything(graph):
    """The hash's value that unfolds all scopes."""
    return ",".join(sorted({"/".join(node.scope) for node in graph.nodes if node.scope}))


# --- derivation -----------------------------------------------------------------------------------------
def test_sliding_adds_backward_nodes_in_order_beside_their_lit_twins(visit, rnn, rnn_page):
    derived = operations(rnn, "backward")
    number_of = {node: number for number, node in enumerate(rnn.nodes)}
    page = visit(rnn_page, f"tab=derive&step=0&open={everything(rnn)}")
    place = page.locator(".box[data-node='20']").get_attribute("transform")
    assert {phase for phase, _, _ in boxes(page)} == {"forward"}
    for step, number in enumerate(derived[:8], start=1):
        page.keyboard.press("ArrowRight")
        node = rnn.nodes[number]
        assert {shown for phase, shown, _ in boxes(page) if phase == "backward"} == set(derived[:step])
        assert nodes_of(page, "fired") == {number}
        assert nodes_of(page, "twin") == {number_of[node.grad_of]}
        kept = {number_of[source] for source in node.inputs if source.phase == "forward"}
        assert kept - nodes_of(page, "kept") <= {
            n for n in kept if rnn.nodes[n].op.name in ("item", "constant")
        }
        assert page.locator("#strip-derive output").inner_text() == f"{step} of {len(derived)}"
        rule = data_of(rnn_page)["ops"][data_of(rnn_page)["nodes"]["op"][number_of[node.grad_of]]]["rule"]
        assert page.locator(".caption pre").inner_text().split() == rule.split()
    assert page.locator(".box[data-node='20']").get_attribute("transform") == place  # nothing moved
    page.keyboard.press("End")
    assert page.locator("#strip-derive output").inner_text() == f"{len(derived)} of {len(derived)}"
    assert page.locator(".graph .box.pending").count() == 0


def test_the_slider_itself_takes_a_step(visit, rnn, rnn_page):
    page = visit(rnn_page, f"tab=derive&step=3&open={everything(rnn)}")
    page.locator("#step").fill("5")
    assert nodes_of(page, "fired") == {operations(rnn, "backward")[4]}
    assert "step=5" in hash_of(page)


# --- explore --------------------------------------------------------------------------------------------
def test_folded_there_is_a_box_for_each_scope_and_phase_and_unfolded_one_for_each_node(visit, rnn, rnn_page):
    page = visit(rnn_page, "tab=explore&open=")
    scoped = {(node.phase, node.scope[0]) for node in rnn.nodes if node.scope and node.op.name != "constant"}
    sums = {path for _, _, path in boxes(page, ".sum")}
    folded = {(phase, path) for phase, _, path in boxes(page, ".fold") if path not in sums}
    assert folded == scoped
    before = len(boxes(page))
    inside = [
        number
        for phase in ("forward", "backward")
        for number in operations(rnn, phase)
        if rnn.nodes[number].scope == ("cell[1]",)
    ]
    page.locator(".box[data-path='cell[1]'] .fold-mark").first.click()
    page.wait_for_selector(f".box[data-node='{inside[0]}']")
    shown = boxes(page)
    assert {node for _, node, _ in shown} >= set(inside)
    assert len(shown) == before - 2 + len(inside)
    assert "cell%5B1%5D" in hash_of(page) or "cell[1]" in hash_of(page)
    page.locator(".frame[data-path='cell[1]'] .fold-mark").first.click()
    page.wait_for_selector(".box[data-path='cell[1]']")
    assert len(boxes(page)) == before
    page = visit(rnn_page, f"tab=explore&open={everything(rnn)},{','.join(sums)}")
    every = {*operations(rnn, "forward"), *operations(rnn, "backward")}
    page.wait_for_selector(f".box[data-node='{max(every)}']")
    assert {node for _, node, _ in boxes(page, ".op")} >= every - {None}


def test_the_search_finds_what_the_graph_has_and_steps_through_it(visit, rnn, rnn_page):
    page = visit(rnn_page, f"tab=explore&open={everything(rnn)}")
    page.keyboard.press("/")
    page.keyboard.type("tanh")
    found = [number for number, node in enumerate(rnn.nodes) if node.op.name == "tanh"]
    assert nodes_of(page, "found") == set(found)
    page.keyboard.press("Enter")
    assert nodes_of(page, "selected") == {found[0]}
    page.keyboard.press("Enter")
    assert nodes_of(page, "selected") == {found[1]}
    assert page.locator("#search-count").inner_text() == f"2 of {len(found)}"
    page.locator("#search-field").fill("no such thing")
    assert page.locator("#search-count").inner_text() == "0"


def test_the_panel_tells_of_a_node_what_the_graph_does(visit, rnn, rnn_page):
    numbers = [number for number in operations(rnn, "forward") if rnn.nodes[number].op.name == "matmul"]
    number = numbers[-1]
    node = rnn.nodes[number]
    page = visit(rnn_page, f"tab=explore&select={number}")
    panel = page.locator("#panel")
    text = panel.inner_text()
    assert str(node.spec) in text.replace(", ", ",")
    assert node.op.name in panel.locator("h2").inner_text()
    file, line = node.where
    assert f"{line}" in panel.locator(".where").inner_text()
    assert panel.locator(".where").inner_text().split(":")[0] in file
    readers = sum(node in other.inputs for other in rnn.nodes)
    assert f"Read by ({readers})".lower() in text.lower()
    assert f"Reads ({len(node.inputs)})".lower() in text.lower()
    value = data_of(rnn_page)["values"][str(number)]
    assert f"{value['mean']:.4g}" in text
    source = panel.locator("section", has_text="Reads").locator(".node-link").last
    source.click()
    assert f"select={list(rnn.nodes).index(node.inputs[-1])}" in hash_of(page)


def test_the_way_from_a_node_to_the_loss_is_lit(visit, rnn, rnn_page):
    data = data_of(rnn_page)
    (first,) = [i for i in operations(rnn, "forward") if rnn.nodes[i].op.name == "tanh"][:1]
    page = visit(rnn_page, f"tab=explore&open={everything(rnn)}&select={first}")
    way = sorted(nodes_of(page, "way"))
    assert (way[0], way[-1]) == (first, data["loss"])
    for source, reader in itertools.pairwise(way):
        assert rnn.nodes[source] in rnn.nodes[reader].inputs


def test_a_slider_says_how_many_steps_are_drawn(visit, rnn_page):
    page = visit(rnn_page, "tab=explore&open=")
    assert {path for _, _, path in boxes(page)} >= {"cell[0]", "cell[1]", "cell[2]"}
    page.locator("#steps").fill("1")
    page.clock.fast_forward(SETTLED)
    page.wait_for_selector(".graph .box[data-path='cell[2]']", state="detached")
    paths = {path for _, _, path in boxes(page, ".fold") if path and path.startswith("cell")}
    assert len(paths) == 2  # the first, and all others
    assert "steps=1" in hash_of(page)


# --- the address ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("chosen", ["derive", "run"])
def test_a_shared_address_shows_the_same(visit, rnn, rnn_page, chosen):
    page = visit(rnn_page, f"tab={chosen}")
    if chosen == "derive":
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
    else:
        page.locator(".run-choice").nth(1).click()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
    address = hash_of(page)
    other = visit(rnn_page, address.lstrip("#"), window="other")
    assert ("step=57" if chosen == "derive" else "run=1&time=") in address
    for look in ("fired", "twin", "running", "done", "selected", "critical"):
        assert boxes(other, f".{look}") == boxes(page, f".{look}")
    for text in (f"#strip-{chosen}", "#panel"):
        assert other.locator(text).inner_text() == page.locator(text).inner_text()


def test_what_an_address_asks_for_and_is_not_there_is_said_and_ignored(visit, rnn_page):
    page = visit(rnn_page, "tab=nowhere&step=1e9&select=99999&run=7&nonsense=%E0%A4%A")
    assert page.locator("#notice").is_visible()
    assert page.locator("#tab-derive").get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("zoom", ["0-1e-308", "9007199254740992-9007199254740994", "0-1e308"])
def test_a_zoom_to_no_time_of_the_run_is_ignored(visit, rnn_page, zoom):
    page = visit(rnn_page, f"tab=run&zoom={zoom}")
    assert page.locator("#notice", has_text="zoom=").is_visible()


# --- keys, light and dark, hostile names ----------------------------------------------------------------
def test_everything_is_reached_by_keys(visit, rnn_page):
    page = visit(rnn_page, "tab=explore&open=")
    page.keyboard.press("ArrowRight")
    first = hash_of(page)
    page.keyboard.press("ArrowRight")
    assert "select=" in first
    assert "select=" in hash_of(page) != first
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()
    page.evaluate("document.activeElement.blur()")
    page.locator("#tab-explore").focus()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.getAttribute('class')")
        )
    assert reached[:2] == ["search-field", "help-open"]
    assert any(name.startswith("box") for name in reached)


def test_text_stands_out_from_the_ground_in_light_and_dark(visit, rnn, rnn_page):
    page = visit(rnn_page, f"tab=explore&open={everything(rnn)}&select=20")

    def colours(selector, ground):
        return page.evaluate(
            """([selector, ground]) => {
                const element = document.querySelector(selector);
                const numbers = (text) => text.match(/[\\d.]+/g).map(Number).slice(0, 3);
                const style = (of, name) => numbers(getComputedStyle(of)[name]);
                const isText = element instanceof SVGElement;
                return [
                    style(element, isText ? "fill" : "color"),
                    style(document.querySelector(ground), isText ? "fill" : "backgroundColor"),
                ];
            }""",
            [selector, ground],
        )

    for scheme, is_light in [("light", True), ("dark", False)]:
        page.emulate_media(color_scheme=scheme)
        for selector, ground in [("#panel h2", "body"), (".box.forward.op text", ".box.forward.op .outline")]:
            ink, paper = colours(selector, ground)
            assert (luminance(paper) > 0.5) == is_light
            light, dark = sorted([luminance(ink), luminance(paper)], reverse=True)
            assert (light + 0.05) / (dark + 0.05) > 4.5  # WCAG 2, level AA


def luminance(colour):
    """The relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(colour) / 255]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.fixture(scope="module")
def hostile_page(executable, tmp_path_factory):
    names = iter(HOSTILE)

    def fn(params):
        total = 0.0
        for value in params.values():
            with dagexec.scope(next(names)):
                total = total + np.sum(np.tanh(value))
        return total

    arguments = {name: np.ones(2) for name in HOSTILE}
    file = tmp_path_factory.mktemp("pages") / "hostile.html"
    dagexec.trace(fn)(arguments).backward().to_html(file, arguments, runs=["serial"], file=HOSTILE[0])
    return file


def test_hostile_names_appear_as_they_are_and_make_nothing(visit, hostile_page):
    page = visit(hostile_page, "tab=explore&open=")
    shown = "\n".join(
        page.evaluate("[...document.querySelectorAll('.graph text, .graph title')].map(t => t.textContent)")
    )
    for name in HOSTILE:
        assert any(part[:12] in shown for part in re.split(r"[\n\u2028]", name) if part), name
    page.locator(".box.input").first.click()
    page.keyboard.press("/")
    page.keyboard.type("<script>")
    page.keyboard.press("2")
    for tab in ("derive", "run", "explore"):
        page.locator(f"#tab-{tab}").click()
        assert page.evaluate("window.hit") is None
        assert (
            page.evaluate("document.querySelectorAll('body img, body h1 ~ h1, a[href], iframe').length") == 0
        )
        assert page.evaluate("document.querySelectorAll('script').length") == 2
        assert (
            page.evaluate("document.querySelectorAll('[onerror], [onclick], [href]:not(link)').length") == 0
        )
