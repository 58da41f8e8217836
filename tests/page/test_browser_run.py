"""The Run tab in a browser: replay, timeline, memory, against what was recorded."""

from __future__ import annotations

import itertools
import re
from itertools import pairwise

import pytest

from tests.page.browsing import SETTLED, data_of

FIRST_LIT = """() => {
    window.firstLit = [];
    const note = (changes) => {
        for (const { target } of changes) {
            const node = Number(target.dataset.node ?? -1);
            if (target.matches(".box.running") && !firstLit.includes(node)) firstLit.push(node);
        }
    };
    new MutationObserver(note).observe(document.querySelector("svg.graph"), {
        subtree: true, attributes: true, attributeFilter: ["class"],
    });
}"""
PIXEL = """([selector, x, y]) => {
    const canvas = document.querySelector(selector);
    const scale = canvas.width / canvas.clientWidth;
    const copy = new OffscreenCanvas(1, 1).getContext("2d");
    copy.drawImage(canvas, x * scale, y * scale, 1, 1, 0, 0, 1, 1);
    return [...copy.getImageData(0, 0, 1, 1).data];
}"""
COLOUR = """name => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
    probe.remove();
    return found;
}"""


def nodes_of(page, name):
    """The nodes whose boxes bear the class `name`."""
    return set(
        page.evaluate(
            "name => [...document.querySelectorAll(`.graph .box.${name}`)].map(box => +box.dataset.node)",
            name,
        )
    )


def state_of(page):
    """The state, as the hash will say it."""
    page.clock.fast_forward(SETTLED)
    return dict(re.findall(r"(\w+)=([^&]*)", page.evaluate("location.hash")))


def bar(page, run, task):
    """The middle of a task's bar on the screen: x, y; and its place within the plot."""
    tasks = run["tasks"]
    box = page.locator(".plot.lanes").bounding_box()
    lane = sorted(set(tasks["worker"])).index(tasks["worker"][task])
    label = page.locator(".lane-label").nth(lane).bounding_box()
    share = (tasks["start"][task] + tasks["end"][task]) / 2 / max(tasks["end"])
    y = label["y"] + label["height"] / 2
    return box["x"] + share * box["width"], y, (share * box["width"], y - box["y"])


@pytest.fixture(scope="module")
def recorded(tasks_page):
    return data_of(tasks_page)["runs"]


def test_a_replay_lights_the_nodes_in_the_recorded_order(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1&pace=5", still=True)
    page.evaluate(FIRST_LIT)
    page.keyboard.press("Space")
    times = []
    for _ in range(45):
        page.clock.fast_forward(120)
        times.append(float(page.locator(".cursor").get_attribute("aria-valuenow")))
    assert all(earlier < later for earlier, later in itertools.pairwise(times[:41]))
    assert times[36] == pytest.approx(100 * 36 * 0.12 / 5, abs=3)  # per cent of the run
    assert page.evaluate("firstLit") == [node for (node,) in recorded[1]["tasks"]["nodes"]]
    assert page.locator(".play").get_attribute("aria-label") == "Play"
    assert page.locator(".readout").inner_text().endswith("5 of 5 tasks done")


def test_what_is_shorter_than_a_frame_lights_as_well(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1&pace=5&time=0", still=True)
    page.evaluate(FIRST_LIT)
    page.keyboard.press("Space")
    page.clock.fast_forward(20)
    page.clock.fast_forward(4800)  # one frame
    assert set(page.evaluate("firstLit")) == {node for (node,) in recorded[1]["tasks"]["nodes"]}
    page.keyboard.press("Space")


def test_at_a_moment_what_runs_is_lit_in_its_workers_colour_and_what_ended_is_done(
    visit, tasks_page, recorded
):
    tasks = recorded[1]["tasks"]
    moments = sorted({*tasks["start"], *tasks["end"]})
    for begin, end in itertools.pairwise(moments):
        time = (begin + end) / 2
        page = visit(tasks_page, f"tab=run&run=1&time={time:.7f}")
        spans = list(zip(tasks["nodes"], tasks["worker"], tasks["start"], tasks["end"]))
        running = {node: worker for (node,), worker, start, end in spans if start <= time < end}
        assert nodes_of(page, "running") == set(running)
        assert nodes_of(page, "done") == {node for (node,), _, _, end in spans if end <= time}
        for node, worker in running.items():
            lane = sorted(set(tasks["worker"])).index(worker)
            style = page.locator(f".box[data-node='{node}']").get_attribute("style")
            assert f"--worker: var(--worker-{lane})" in style


def test_the_critical_path_is_marked_in_the_graph(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1")
    path = [recorded[1]["tasks"]["nodes"][task][0] for task in recorded[1]["critical"]]
    assert nodes_of(page, "critical") == set(path)
    assert page.locator(".graph .arrow.critical").count() == len(path) - 1


def test_bars_have_their_workers_or_phases_colour(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1")
    for task in range(5):
        *_, (x, y) = bar(page, recorded[1], task)
        lane = sorted(set(recorded[1]["tasks"]["worker"])).index(recorded[1]["tasks"]["worker"][task])
        at = [".plot.lanes canvas", x, y - 9]  # above the text
        assert page.evaluate(PIXEL, at)[:3] == page.evaluate(COLOUR, f"--worker-{lane}")
    page.locator("label", has_text="phase").click()
    assert page.evaluate(PIXEL, at)[:3] == page.evaluate(COLOUR, "--phase-bar-0")
    assert state_of(page)["colour"] == "phase"


def test_a_click_on_a_bar_selects_its_node_in_the_graph_and_the_other_way_round(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1")
    for task, (node,) in enumerate(recorded[1]["tasks"]["nodes"]):
        x, y, _ = bar(page, recorded[1], task)
        page.mouse.click(x, y)
        assert nodes_of(page, "selected") == {node}
    page.locator(f".box[data-node='{recorded[1]['tasks']['nodes'][0][0]}']").click()
    mark = page.locator(".bar-mark.selected").bounding_box()
    x, y, _ = bar(page, recorded[1], 0)
    assert mark["x"] < x < mark["x"] + mark["width"]
    assert mark["y"] < y < mark["y"] + mark["height"]


def test_pointing_at_a_bar_names_it(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1")
    tasks = recorded[1]["tasks"]
    for task in range(5):
        x, y, _ = bar(page, recorded[1], task)
        page.mouse.move(x, y)
        text = page.locator(".tip").inner_text()
        duration = float(re.search(r"([\d.]+) ms, from", text)[1])
        assert duration == pytest.approx(1e3 * (tasks["end"][task] - tasks["start"][task]), rel=0.01)
        assert "wait" in text
        assert f"worker {tasks['worker'][task]}" in text
        assert ("on the critical path" in text) == (task in recorded[1]["critical"])
    page.mouse.move(640, 20)
    assert page.locator(".tip").is_hidden()


def test_runs_are_switched_and_their_facts_told(visit, rnn_page):
    runs = data_of(rnn_page)["runs"]
    page = visit(rnn_page, "tab=run")
    for number, run in enumerate(runs):
        page.locator(".run-choice").nth(number).click()
        tasks = run["tasks"]
        spent = [end - start for start, end in zip(tasks["start"], tasks["end"])]
        lanes = page.locator(".lane-label").all_inner_texts()
        assert len(lanes) == run["workers"]  # also those that ran no task
        assert {f"worker {worker}" for worker in tasks["worker"]} <= set(lanes)
        names, values = (page.locator(f".run-facts {tag}").all_inner_texts() for tag in ("dt", "dd"))
        facts = {
            name: float(re.match(r"[\d.]+", value)[0]) for name, value in zip(names, values, strict=True)
        }
        unit = {"s": 1, "ms": 1e-3, "µs": 1e-6}[values[0].split()[1]]
        assert facts["in all"] * unit == pytest.approx(run["seconds"], rel=0.01)
        critical = sum(spent[task] for task in run["critical"]) / run["seconds"]
        assert facts["of it on the critical path"] == pytest.approx(100 * critical, abs=0.6)
        (idle,) = (value for name, value in facts.items() if name.endswith("idle"))
        assert idle == pytest.approx(100 * (1 - sum(spent) / run["seconds"] / len(lanes)), abs=0.6)
        speed_up = None if run["executor"] == "serial" else runs[0]["seconds"] / run["seconds"]
        assert facts.get("as fast as serial") == (speed_up and pytest.approx(speed_up, rel=0.06))
        peak, prefix = re.match(r"peak ([\d.]+) (k?)B at", page.locator(".peak-name").inner_text()).groups()
        held = float(peak) * (1e3 if prefix else 1)
        assert held == pytest.approx(max(run["memory"]["bytes"]), rel=0.01)
        assert f"{len(spent)} of {len(spent)} task" in page.locator(".readout").inner_text()


def test_the_timeline_zooms_by_drag_wheel_and_keys_and_a_double_click_shows_all(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=1")
    length = max(recorded[1]["tasks"]["end"])
    box = page.locator(".plot.lanes").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.25 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=3)
    page.mouse.up()
    begin, end = map(float, state_of(page)["zoom"].split("-"))
    assert (begin / length, end / length) == pytest.approx((0.25, 0.5), abs=0.01)
    middle = box["x"] + 0.5 * box["width"]
    page.mouse.move(middle, y)
    page.mouse.wheel(0, -200)
    nearer, farther = map(float, state_of(page)["zoom"].split("-"))
    assert begin < nearer < farther < end
    assert (nearer + farther) / 2 == pytest.approx((begin + end) / 2, rel=0.01)  # it stays under the pointer
    page.mouse.dblclick(middle, y)
    assert "zoom" not in state_of(page)
    page.keyboard.press("+")
    assert "zoom" in state_of(page)
    page.keyboard.press("0")
    assert "zoom" not in state_of(page)


def test_the_time_cursor_is_dragged_and_memory_is_read_at_it(visit, rnn_page):
    run = data_of(rnn_page)["runs"][0]
    steps = [(0.0, 0), *zip(run["memory"]["time"], run["memory"]["bytes"]), (run["seconds"], 0)]
    length, begin, held = max((end - begin, begin, held) for (begin, held), (end, _) in pairwise(steps))
    share = (begin + length / 2) / run["seconds"]  # where memory stays the same for the longest time
    page = visit(rnn_page, "tab=run")
    box = page.locator(".plot.memory").bounding_box()
    cursor = page.locator(".cursor").bounding_box()
    page.mouse.move(cursor["x"] + cursor["width"] / 2, cursor["y"] + 8)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], cursor["y"] + 8, steps=3)
    page.mouse.up()
    assert float(state_of(page)["time"]) / run["seconds"] == pytest.approx(share, abs=0.01)
    dot, peak = (page.locator(name).bounding_box() for name in (".memory-here", ".peak"))
    bottom = box["y"] + box["height"] - 2
    height = bottom - (dot["y"] + dot["height"] / 2)
    highest = bottom - (peak["y"] + peak["height"] / 2)
    assert height / highest == pytest.approx(held / max(run["memory"]["bytes"]), abs=0.04)


def test_keys_alone_play_step_select_and_go_to_the_ends(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=explore")
    starts = recorded[0]["tasks"]["start"]
    page.keyboard.press("2")
    page.keyboard.press("Home")
    for start in starts:
        page.keyboard.press("ArrowRight")
        assert float(state_of(page)["time"]) == pytest.approx(start, abs=2e-6)
    page.keyboard.press("ArrowLeft")
    assert float(state_of(page)["time"]) == pytest.approx(starts[-2], abs=2e-6)
    page.keyboard.press("Enter")
    assert nodes_of(page, "selected") == set(recorded[0]["tasks"]["nodes"][-2])
    page.keyboard.press("End")
    assert "time" not in state_of(page)


def test_less_motion_is_shown_where_that_is_preferred(visit, tasks_page):
    page = visit(tasks_page, "tab=run&run=1", still=True)
    page.emulate_media(reduced_motion="reduce")
    page.keyboard.press("Space")
    shown = []
    for _ in range(20):
        page.clock.fast_forward(100)
        shown.append(page.locator(".cursor").get_attribute("aria-valuetext"))
    assert 3 <= len(set(shown)) <= 5  # two a second
    page.keyboard.press("Space")


def test_the_charts_turn_dark_and_light_again_on_paper(visit, tasks_page, recorded):
    page = visit(tasks_page, "tab=run&run=0")
    *_, (x, y) = bar(page, recorded[0], 0)
    seen = {}
    for media, scheme in [("screen", "light"), ("screen", "dark"), ("print", "dark")]:
        page.emulate_media(media=media, color_scheme=scheme)
        page.wait_for_timeout(100)
        pixel = page.evaluate(PIXEL, [".plot.lanes canvas", x, y - 9])[:3]
        assert pixel == page.evaluate(COLOUR, "--worker-0")
        seen[media, scheme] = sum(page.evaluate(COLOUR, "--paper")), pixel
    assert seen["screen", "dark"][0] < 150 < 600 < seen["screen", "light"][0]
    assert seen["print", "dark"] == seen["screen", "light"]
    assert page.locator(".play").is_hidden()
    assert page.locator(".plot.lanes").is_visible()
