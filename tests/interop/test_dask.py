"""Graphs in Dask's form: what `get` gives, by Dask's own tests, by Dask itself, and by a plain evaluator."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from graphlib import CycleError
from operator import add
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec.interop import from_dask, plan_of

dask = pytest.importorskip("dask")
utils_test = pytest.importorskip("dask.utils_test")

get = partial(dagexec.get, executor="serial")
EXECUTORS = ("serial", "threads", "processes")


def combine(*values: Any) -> Any:
    """A result that shows each argument and its place."""
    return ("made of", *values)


# --- Dask's own tests -------------------------------------------------------------------------------------
class TestSerial(utils_test.GetFunctionTestMixin):
    get = staticmethod(get)


class TestThreads(utils_test.GetFunctionTestMixin):
    get = staticmethod(partial(dagexec.get, executor="threads", workers=2))


class TestProcesses(utils_test.GetFunctionTestMixin):
    get = staticmethod(partial(dagexec.get, executor="processes", workers=2))


class TestAuto(utils_test.GetFunctionTestMixin):
    get = staticmethod(dagexec.get)


# --- random graphs ----------------------------------------------------------------------------------------
KEYS = [*"abcdefgh", 7, 2.5, ("key", 0), ("key", ("b", 1)), ""]
LITERALS = st.sampled_from([0, -1, None, "literal", 0.5, (), ("no", "key"), b"bytes"])


def parts(before: list[Any]) -> st.SearchStrategy[Any]:
    """What may be an argument: a key, a literal, a task, a list, tuple or set of such."""
    leaves = LITERALS | st.sampled_from(before) if before else LITERALS
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(lambda items: (combine, *items))
            | st.tuples(inner, inner)
        ),
        max_leaves=6,
    )


@st.composite
def dictionaries(draw: st.DrawFn) -> dict[Any, Any]:
    """A graph in any order of its keys."""
    keys = draw(st.permutations(KEYS))[: draw(st.integers(1, len(KEYS)))]
    made: dict[Any, Any] = {}
    for key in keys:
        inner = parts(list(made))
        task = st.lists(inner, max_size=4).map(lambda items: (combine, *items))
        made[key] = draw(task | task | inner)
    return {key: made[key] for key in draw(st.permutations(keys))}


def evaluate(dsk: dict[Any, Any], part: Any) -> Any:
    """The value of a part of a task, by the letter of Dask's specification."""
    if type(part) is tuple and part and callable(part[0]):
        return part[0](*[evaluate(dsk, item) for item in part[1:]])
    with suppress(TypeError):  # a tuple that holds a list
        if isinstance(part, int | float | str | tuple) and part in dsk:
            return evaluate(dsk, dsk[part])
    if isinstance(part, list | tuple):
        return type(part)(evaluate(dsk, item) for item in part)
    return part


def keys_of(dsk: dict[Any, Any]) -> st.SearchStrategy[Any]:
    """One key, or nested lists of keys."""
    some = st.sampled_from(list(dsk))
    return some | st.recursive(some, lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=5)


def expected(dsk: dict[Any, Any], keys: Any) -> Any:
    """What `get` must give."""
    return tuple([expected(dsk, key) for key in keys]) if isinstance(keys, list) else evaluate(dsk, keys)


@given(dictionaries(), st.data())
def test_results_are_those_of_the_specification_and_of_dask(dsk, data):
    keys = data.draw(keys_of(dsk))
    assert get(dsk, keys) == expected(dsk, keys) == dask.get(dsk, keys)


@given(dictionaries(), st.data())
def test_threads_give_the_same(dsk, data):
    keys = data.draw(keys_of(dsk))
    assert dagexec.get(dsk, keys, executor="threads", workers=2) == expected(dsk, keys)


@settings(max_examples=5, deadline=None)
@given(dictionaries())
def test_processes_give_the_same(dsk):
    assert dagexec.get(dsk, list(dsk), executor="processes", workers=2) == expected(dsk, list(dsk))


@given(dictionaries(), st.data())
def test_only_what_the_keys_need_is_run(dsk, data):
    keys = data.draw(st.lists(st.sampled_from(list(dsk)), min_size=1, max_size=3))
    calls: list[Any] = []

    def noted(key):
        def call(value):
            calls.append(key)
            return value

        return call

    get({key: (noted(key), value) for key, value in dsk.items()}, keys)
    tasks = dask._task_spec.convert_legacy_graph(dsk)
    assert sorted(map(repr, calls)) == sorted(map(repr, dask._task_spec.cull(tasks, set(keys))))


@given(dictionaries(), st.data())
def test_the_graph_of_a_dictionary_computes_the_same(dsk, data):
    keys = data.draw(keys_of(dsk))
    graph = from_dask(dsk, keys)
    assert dagexec.run(graph, executor="serial") == expected(dsk, keys)
    assert {node.name for node in graph.nodes} <= set(map(str, dsk))


# --- what is a reference, and what is data ----------------------------------------------------------------
class Point(NamedTuple):
    x: Any
    y: Any


class Unhashable(list):
    pass


@pytest.mark.parametrize(
    "key", ["a", "", b"bytes", 1, 2.5, None, ("a", 0), ("a", ("b", 1)), frozenset({1}), int, len, Point(1, 2)]
)
def test_anything_hashable_is_a_key(key):
    dsk = {key: 5, "twice": (add, key, key), "listed": [key, [key]], "same": key}
    assert get(dsk, ["twice", "listed", "same", key]) == (10, [5, [5]], 5, 5)


def test_nested_key_lists_give_nested_tuples():
    assert get({"a": 1, ("a", 0): 2}, [["a", [("a", 0)]], [], "a"]) == ((1, (2,)), (), 1)
    assert get({"a": 1}, []) == ()


def test_an_alias_hands_the_same_object_on():
    dsk = {"a": (list, (1, 2)), "b": "a", "c": "b", "d": (lambda *values: values, "a", "c", ["a"])}
    first, second, (third,) = get(dsk, "d")
    assert first is second is third


def test_a_mutable_result_is_shared_by_all_its_readers():
    dsk = {"a": (list,), "b": (lambda a: a.append(1) or a, "a"), "c": (lambda a, b: (a, b), "a", "b")}
    a, b = get(dsk, "c")
    assert a is b == [1]


def test_a_literal_list_is_not_the_callers_own():
    own = [1, 2]
    get({"a": own, "b": (list.append, "a", 3)}, ["a", "b"])
    assert own == [1, 2]


def test_containers_keep_their_types():
    dsk = {
        "x": 1,
        "point": Point("x", (add, "x", "x")),
        "set": {"x", 5},
        "frozen": frozenset({"x"}),
        "kinds": (lambda *values: values, Point("x", 2), Unhashable(["x"])),
    }
    point, made, frozen, (inner, items) = get(dsk, ["point", "set", "frozen", "kinds"])
    assert (point, type(point)) == (Point(1, 2), Point)
    assert (made, frozen, inner, items) == ({1, 5}, frozenset({1}), Point(1, 2), [1])
    assert type(inner) is Point
    assert type(items) is Unhashable


def test_dictionaries_are_data():
    dsk = {"x": 1, "top": {"x": "x"}, "argument": (dict.copy, {"a": "x"}), "listed": [{"a": "x"}]}
    assert get(dsk, ["top", "argument", "listed"]) == ({"x": "x"}, {"a": "x"}, [{"a": "x"}])


def test_what_cannot_be_compared_or_hashed_is_data():
    class Odd:
        __hash__ = None

        def __eq__(self, other):
            raise RuntimeError

    array = np.arange(3)
    odd = Odd()
    seen = get({"x": 1, "y": (lambda *values: values, "x", array, {1: 2}, odd)}, "y")
    assert seen[0] == 1
    assert seen[1] is array
    assert seen[2:] == ({1: 2}, odd)


def test_a_deep_nest_of_tasks_is_read_and_run_without_recursion():
    nest: Any = "x"
    for _ in range(20_000):
        nest = (add, nest, 1)
    assert get({"x": 0, "y": nest, "z": [nest]}, ["y", "z"]) == (20_000, [20_000])


@pytest.mark.parametrize("order", [1, -1])
def test_a_long_chain_is_read_in_any_order(order):
    items = [("k0", 0), *[(f"k{n}", (add, f"k{n - 1}", 1)) for n in range(1, 50_001)]]
    assert get(dict(items[::order]), "k50000") == 50_000


# --- Dask's task objects and collections ------------------------------------------------------------------
def test_task_objects():
    from dask._task_spec import Alias, DataNode, Dict, List, Task, TaskRef

    inner = Task("inner", add, TaskRef("x"), 1)
    dsk = {
        "x": DataNode("x", [3]),
        "y": Task("y", combine, TaskRef("x"), "x", ["x"]),  # strings are data here
        "z": Alias("z", "y"),
        "keywords": Task("keywords", dict, a=TaskRef("x"), b=List(TaskRef("x"), 1)),
        "nested": Task("nested", combine, Dict(a=TaskRef("n")), inner.substitute({"x": "n"})),
        "n": 5,
        "legacy": (combine, inner.substitute({"x": "n"}), [Alias("n")], {"a": TaskRef("n")}),
    }
    assert get(dsk, ["y", "z"]) == (("made of", [3], "x", ["x"]),) * 2
    assert get(dsk, "keywords") == {"a": [3], "b": [[3], 1]}
    assert get(dsk, "nested") == ("made of", {"a": 5}, 6)
    assert get(dsk, "legacy") == ("made of", 6, [5], {"a": 5})
    for key in dsk:
        assert get(dsk, key) == dask.get(dsk, key)


def test_task_objects_of_an_unknown_kind_are_called_with_what_they_depend_on():
    from dask._task_spec import GraphNode

    class Sum(GraphNode):
        def __init__(self, key, *sources):
            self.key, self._dependencies = key, frozenset(sources)

        def __call__(self, values):
            return sum(values.values())

    assert get({"a": 1, "b": 2, "s": Sum("s", "a", "b")}, "s") == 3


def test_fused_tasks():
    from dask.task_spec import Task, TaskRef

    fused = Task.fuse(Task("a", add, TaskRef("x"), 1), Task("b", add, TaskRef("a"), 1), key="f")
    assert get({"x": 1, "f": fused}, "f") == 3


def test_a_task_that_refers_to_what_is_not_there_is_named():
    from dask.task_spec import Task, TaskRef

    with pytest.raises(KeyError, match="'gone', which 'y' reads, is not a key of the graph"):
        get({"y": Task("y", abs, TaskRef("gone"))}, "y")


@dask.delayed
def listed(*values, **named):
    return [*values, named]


def collections():
    import dask.array as da
    import dask.bag as db

    x = da.arange(1000, chunks=100)
    bag = db.range(100, npartitions=4).map(lambda number: number**2).filter(lambda number: number % 2)
    return [
        (x + x[::-1]).sum(),
        da.outer(x[:40], x[:40]).T.mean(axis=0).std(),
        da.linalg.svd(da.ones((60, 4), chunks=(20, 4)))[1],
        bag.sum(),
        bag.frequencies().topk(3, key=lambda pair: pair[1]),
        listed(listed(1, b=[listed(2), {"c": listed()}]), listed()),
    ]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_scheduler_for_dasks_collections(executor):
    scheduler = partial(dagexec.get, executor=executor)
    results = dask.compute(*collections(), scheduler=scheduler, num_workers=2)
    for result, right in zip(results, dask.compute(*collections(), scheduler="sync")):
        np.testing.assert_equal(result, right)


def test_the_scheduler_of_a_configuration():
    with dask.config.set(scheduler=dagexec.get):
        assert listed(listed(1)).compute() == [[1, {}], {}]


def test_an_option_of_another_scheduler_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'pool'; it takes executor, workers"):
        dagexec.get({"a": 1}, "a", pool=None)


def test_dask_is_not_imported():
    code = "import sys, dagexec; dagexec.get({'a': (abs, 1)}, 'a'); assert 'dask' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- errors -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("keys", ["gone", ["a", "gone"], [["a"], [["gone"]]]])
def test_an_unknown_key_is_named(keys):
    with pytest.raises(KeyError, match="'gone' is not a key of the graph"):
        get({"a": 1}, keys)


def test_what_is_no_graph_is_refused():
    with pytest.raises(TypeError, match="the graph is a list, but must be a mapping"):
        get([("a", 1)], "a")


@given(st.integers(1, 8), st.integers(0, 3), st.randoms())
def test_a_cycle_is_told_with_its_members_in_order(length, tail, random):
    dsk = {n: (combine, (n - 1) % length) for n in range(length)}
    dsk |= {length + n: (combine, "literal", [length + n - 1]) for n in range(tail)}
    items = list(dsk.items())
    random.shuffle(items)
    with pytest.raises(CycleError) as caught:
        get(dict(items), length + tail - 1)
    first, *members = caught.value.args[1]
    assert first == members[-1]
    assert sorted(members) == list(range(length))
    for source, reader in zip([first, *members], members):
        assert source == (reader - 1) % length


def test_a_task_that_reads_itself_is_a_cycle():
    for value in ("a", (abs, "a"), [["a"]]):
        with pytest.raises(CycleError, match=r"\['a', 'a'\]"):
            get({"a": value}, "a")


def test_a_cycle_that_nothing_needs_does_not_matter_to_get_but_to_a_graph_of_all():
    dsk = {"a": (abs, "b"), "b": (abs, "a"), "c": 1}
    assert get(dsk, "c") == 1
    with pytest.raises(CycleError):
        from_dask(dsk)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_error_names_its_task(executor):
    with pytest.raises(ZeroDivisionError) as caught:
        dagexec.get({("a", 0): (divmod, 1, 0)}, ("a", 0), executor=executor, workers=2)
    assert any("task ('a', 0)" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_going_on_reports_by_key_in_the_shape_of_the_keys(executor):
    dsk = {"a": (divmod, 1, 0), "b": (abs, "a"), "c": (abs, -1), "d": [(abs, "c"), "c"]}
    with pytest.raises(dagexec.TasksFailed) as caught:
        dagexec.get(dsk, [["b"], "d"], executor=executor, workers=2, on_error="continue")
    failed = caught.value
    assert list(failed.failed) == ["a"]
    assert isinstance(failed.failed["a"], ZeroDivisionError)
    assert failed.skipped == ["b"]
    ((nothing,), there) = failed.results
    assert isinstance(nothing, dagexec.Failure)
    assert there == [1, 1]


def test_options_go_by_key():
    calls: list[int] = []

    def fails_once():
        calls.append(1)
        if len(calls) == 1:
            raise OSError
        return "done"

    assert get({("a", 1): (fails_once,)}, ("a", 1), retries={("a", 1): 1}) == "done"


# --- runs beside and within others ------------------------------------------------------------------------
def grid(side: int, name: Any) -> dict[Any, Any]:
    """A square of sums: binomial coefficients."""
    return {
        (name, i, j): (add, (name, i - 1, j), (name, i, j - 1)) if i and j else 1
        for i in range(side)
        for j in range(side)
    }


@pytest.mark.parametrize("executor", ["auto", "serial", "threads"])
def test_twenty_threads_at_once(executor):
    def run(name):
        return dagexec.get(grid(20, name), (name, 19, 19), executor=executor, workers=2)

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(run, range(100))) == {35345263800}


def nested(executor: str, depth: int, value: int) -> int:
    """A task that runs a graph of such tasks."""
    if depth == 0:
        return value
    task = (nested, executor, depth - 1, value + 1)
    total: int = dagexec.get({"a": task, "b": task, "c": (add, "a", "b")}, "c", executor=executor, workers=2)
    return total


@pytest.mark.parametrize("executor", ["auto", "serial", "threads"])
def test_tasks_call_get_themselves(executor):
    assert nested(executor, 4, 0) == 2**4 * 4


def test_tasks_in_processes_call_get_themselves():
    assert nested("processes", 1, 0) == 2
    dsk = {"a": (nested, "threads", 2, 0), "b": (nested, "serial", 2, 0), "c": (add, "a", "b")}
    assert dagexec.get(dsk, "c", executor="processes", workers=2) == 16


# --- the plan ---------------------------------------------------------------------------------------------
def test_a_plan_has_the_keys_as_labels_and_a_graph_when_asked():
    plan = plan_of({"x": 1, "y": (abs, "x"), "z": (pow, "y", 2), "unread": (abs, "x")}, ["z"])
    assert plan.labels == ["x", "y", "z"]
    assert [plan.key(task) for task in plan.tasks] == ["y", "z"]
    assert [(node.name, node.op.name) for node in plan.graph.nodes] == [
        ("x", "constant"),
        ("y", "abs"),
        ("z", "pow"),
    ]


def test_without_keys_the_outputs_are_what_nobody_reads():
    graph = from_dask({"x": 1, "y": (abs, "x"), "z": (abs, "x"), "w": 2})
    assert [node.name for node in graph.outputs] == ["y", "z", "w"]
    assert dagexec.run(graph) == (1, 1, 2)
