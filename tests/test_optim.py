"""dagexec.optim: PyTorch's optimisers, step by step, and what makes them fit into one graph."""

import math

import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dagexec
from dagexec import optim, trace, value_and_grad

RATE = 0.05
MAKERS = {  # dagexec's beside the name and options of PyTorch's
    "sgd": (optim.sgd(RATE), "SGD", {"lr": RATE}),
    "sgd_decay": (optim.sgd(RATE, weight_decay=0.1), "SGD", {"lr": RATE, "weight_decay": 0.1}),
    "momentum": (
        optim.sgd(RATE, momentum=0.9, weight_decay=0.1),
        "SGD",
        {"lr": RATE, "momentum": 0.9, "weight_decay": 0.1},
    ),
    "nesterov": (
        optim.sgd(RATE, momentum=0.8, nesterov=True),
        "SGD",
        {"lr": RATE, "momentum": 0.8, "nesterov": True},
    ),
    "adagrad_defaults": (optim.adagrad(), "Adagrad", {}),
    "adagrad": (optim.adagrad(RATE, 1e-3, 0.1), "Adagrad", {"lr": RATE, "eps": 1e-3, "weight_decay": 0.1}),
    "rmsprop_defaults": (optim.rmsprop(), "RMSprop", {}),
    "rmsprop": (
        optim.rmsprop(RATE, 0.7, 1e-3, 0.1),
        "RMSprop",
        {"lr": RATE, "alpha": 0.7, "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adam_defaults": (optim.adam(), "Adam", {}),
    "adam": (
        optim.adam(RATE, (0.7, 0.9), 1e-3, 0.1),
        "Adam",
        {"lr": RATE, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamw_defaults": (optim.adamw(), "AdamW", {}),
    "adamw": (
        optim.adamw(RATE, (0.7, 0.9), 1e-3, 0.2),
        "AdamW",
        {"lr": RATE, "betas": (0.7, 0.9), "eps": 1e-3, "weight_decay": 0.2},
    ),
}
OPTIMISERS = {name: row[0] for name, row in MAKERS.items() if not name.endswith("defaults")}


def some_params(dtype="float64"):
    random = np.random.default_rng(0)
    return {
        "weights": random.normal(size=(3, 2)).astype(dtype),
        "bias": [random.normal(size=2).astype(dtype), random.normal(size=()).astype(dtype)],
    }


def some_loss(params):
    hidden = np.tanh(params["weights"]) @ params["bias"][0]
    return np.sum(np.exp(hidden)) + params["bias"][1] ** 2 * np.sum(params["weights"])


def steps_of(optimiser, params, count, clip=lambda gradients: gradients):
    """The parameters after each of `count` steps, compiled as one graph."""

    def step(params, state):
        loss, gradients = value_and_grad(some_loss)(params)
        return loss, *optimiser.update(params, clip(gradients), state)

    state = optimiser.init(params)
    with dagexec.compile(trace(step)(params, state), "serial") as compiled:
        for _ in range(count):
            _, params, state = compiled(params, state)
            yield params


def torch_steps(name, options, params, count, clip=None, schedule=None):
    torch = pytest.importorskip("torch")
    tensors = [torch.tensor(np.array(p), requires_grad=True) for p in leaves(params)]
    optimiser = getattr(torch.optim, name)(tensors, **options)
    scheduler = schedule(optimiser) if schedule else None
    for _ in range(count):
        optimiser.zero_grad()
        first, second, weights = tensors
        loss = torch.exp(torch.tanh(weights) @ first).sum() + second**2 * weights.sum()
        loss.backward()
        if clip:
            clip(tensors)
        optimiser.step()
        if scheduler:
            scheduler.step()
        yield [tensor.detach().numpy().copy() for tensor in tensors]


def leaves(params):
    return [*params["bias"], params["weights"]]


def assert_same_steps(ours, theirs, **tolerance):
    for params, expected in zip(ours, theirs, strict=True):
        for value, wanted in zip(leaves(params), expected, strict=True):
            np.testing.assert_allclose(value, wanted, **tolerance)


@pytest.mark.parametrize("name", MAKERS)
def test_twelve_steps_equal_those_of_torch(name):
    optimiser, twin, options = MAKERS[name]
    params = some_params()
    theirs = torch_steps(twin, options, params, 12)
    assert_same_steps(steps_of(optimiser, params, 12), theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["nesterov", "rmsprop", "adamw"])
def test_float32_parameters_follow_those_of_torch(name):
    optimiser, twin, options = MAKERS[name]
    params = some_params("float32")
    theirs = torch_steps(twin, options, params, 12)
    assert_same_steps(steps_of(optimiser, params, 12), theirs, rtol=1e-4, atol=1e-5)


SCHEDULES = {  # dagexec's beside the name and options of PyTorch's
    "step_decay": (optim.step_decay(0.1, 3, 0.5), "StepLR", {"step_size": 3, "gamma": 0.5}),
    "exponential": (optim.exponential(0.1, 0.8), "ExponentialLR", {"gamma": 0.8}),
    "cosine": (optim.cosine(0.1, 10, 0.02), "CosineAnnealingLR", {"T_max": 10, "eta_min": 0.02}),
    "warmup": (
        optim.warmup(0.1, 4),
        "LinearLR",
        {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 3},
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("maker", ["sgd", "adamw"])
def test_scheduled_steps_equal_those_of_torch(name, maker):
    schedule, twin, options = SCHEDULES[name]
    torch = pytest.importorskip("torch")
    params = some_params()
    theirs = torch_steps(
        {"sgd": "SGD", "adamw": "AdamW"}[maker],
        {"lr": 0.1},
        params,
        10,
        schedule=lambda optimiser: getattr(torch.optim.lr_scheduler, twin)(optimiser, **options),
    )
    optimiser = getattr(optim, maker)(schedule)
    assert_same_steps(steps_of(optimiser, params, 10), theirs, rtol=1e-10, atol=1e-12)


def test_a_schedule_after_warmup_starts_at_its_own_first_step():
    later = optim.cosine(1.0, 4)
    both = optim.warmup(later, 2)
    rates = [float(both(step)) for step in range(8)]
    assert rates == pytest.approx([0.5, 1.0, *[float(later(step)) for step in range(6)]])


def test_a_constant_schedule_is_its_rate():
    params = some_params()
    by_number = [*steps_of(optim.adam(RATE), params, 3)]
    by_schedule = [*steps_of(optim.adam(optim.constant(RATE)), params, 3)]
    assert_same_steps(by_number, map(leaves, by_schedule), rtol=0)


@pytest.mark.parametrize("most", [0.5, 1e6])
def test_clipping_by_norm_is_that_of_torch(most):
    torch = pytest.importorskip("torch")
    params = some_params()
    theirs = torch_steps(
        "SGD", {"lr": RATE}, params, 5, clip=lambda tensors: torch.nn.utils.clip_grad_norm_(tensors, most)
    )
    ours = steps_of(optim.sgd(RATE), params, 5, clip=lambda g: optim.clip_by_norm(g, most))
    assert_same_steps(ours, theirs, rtol=1e-10)


def test_clipping_by_value_is_that_of_torch():
    torch = pytest.importorskip("torch")
    params = some_params()
    theirs = torch_steps(
        "SGD", {"lr": RATE}, params, 5, clip=lambda tensors: torch.nn.utils.clip_grad_value_(tensors, 0.3)
    )
    ours = steps_of(optim.sgd(RATE), params, 5, clip=lambda g: optim.clip_by_value(g, 0.3))
    assert_same_steps(ours, theirs, rtol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4), st.floats(1e-3, 1e3))
def test_a_clipped_norm_is_at_most_the_bound_and_keeps_the_direction(values, most):
    gradients = {"one": np.array(values), "two": np.array(values[0])}
    clipped = optim.clip_by_norm(gradients, most)
    norm = float(optim.global_norm(gradients))
    assert norm == pytest.approx(math.hypot(*values, values[0]))
    assert float(optim.global_norm(clipped)) <= most * (1 + 1e-9)
    assert clipped["one"] * norm == pytest.approx(gradients["one"] * min(norm, most), rel=2e-3, abs=1e-9)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "rmsprop", "adam", "adamw"])
def test_float32_parameters_and_state_stay_float32(name):
    rates = np.float64(0.1), optim.cosine(0.1, 9)  # NumPy's float64 widens what Python's float does not
    for rate in rates:
        optimiser = getattr(optim, name)(rate, weight_decay=np.float64(0.1))
        params = some_params("float32")
        args = params, params, optimiser.init(params)
        traced = [node.spec.dtype.name for node in trace(optimiser.update)(*args).outputs]
        at_once = [np.asarray(leaf).dtype.name for leaf in optree.tree_leaves(optimiser.update(*args))]
        assert traced == at_once
        assert traced.count("float32") == len(traced) - 1  # all but the number of updates


@pytest.mark.parametrize("name", OPTIMISERS)
def test_no_update_waits_for_the_gradient_of_another(name):
    optimiser = OPTIMISERS[name]
    params = some_params()
    graph = trace(optimiser.update)(params, params, optimiser.init(params))
    gradients = {node for node in graph.inputs if node.name.startswith("gradients")}
    read = {}  # node -> the gradients that it depends on
    for node in graph.nodes:
        read[node] = ({node} & gradients).union(*[read[source] for source in node.inputs])
    assert len(gradients) == 3
    assert max(len(found) for found in read.values()) == 1
    assert set().union(*[read[node] for node in graph.outputs]) == gradients


def test_the_update_is_a_phase_with_a_region_for_each_parameter():
    params = some_params()
    optimiser = optim.adam()
    graph = trace(optimiser.update)(params, params, optimiser.init(params))
    computed = [node for node in graph.nodes if node.inputs]
    assert {node.phase for node in computed} == {"update"}
    assert {node.scope[0] for node in computed} == {"update"}
    assert {node.scope[1] for node in computed if len(node.scope) > 1} == {"weights", "bias.0", "bias.1"}


def test_gradients_flow_through_an_update():
    optimiser = optim.sgd(0.1, momentum=0.9)

    def after_two_steps(w):
        state = optimiser.init(w)
        for _ in range(2):
            w, state = optimiser.update(w, 2 * w, state)
        return np.sum(w)

    # w ← 0.8 w, then the velocity is 0.9 · 2 w + 1.6 w, so that w ends as (0.8 − 0.34) w
    assert dagexec.grad(after_two_steps)(np.ones(2)) == pytest.approx([0.46, 0.46])


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_executors_take_the_same_steps(executor):
    params = some_params()
    optimiser = optim.adamw(optim.warmup(0.1, 3))

    def step(params, state):
        _, gradients = value_and_grad(some_loss)(params)
        return optimiser.update(params, optim.clip_by_norm(gradients, 1.0), state)

    args = params, optimiser.init(params)
    graph = trace(step)(*args)
    first, _ = dagexec.run(graph, *args, executor="serial")
    other, _ = dagexec.run(graph, *args, executor=executor, workers=2)
    assert_same_steps([first], [leaves(other)], rtol=0)


# --- misuse ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.sgd(-1.0), "rate is -1.0"),
        (lambda: optim.sgd(math.nan), "rate is nan"),
        (lambda: optim.sgd(1.0, momentum=-0.1), "momentum is -0.1"),
        (lambda: optim.sgd(1.0, nesterov=True), "momentum, such as"),
        (lambda: optim.adam(betas=(0.9, 1.0)), "beta2 is 1.0"),
        (lambda: optim.adamw(weight_decay=-1), "weight_decay is -1"),
        (lambda: optim.adagrad(eps=-1), "eps is -1"),
        (lambda: optim.rmsprop(alpha=1.5), "alpha is 1.5"),
        (lambda: optim.cosine(1.0, 0), "steps is 0"),
        (lambda: optim.cosine(-1.0, 9), "rate is -1.0"),
        (lambda: optim.constant(np.nan), "rate is nan"),
        (lambda: optim.exponential(np.inf, 0.5), "rate is inf"),
        (lambda: optim.step_decay(1.0, 5, -0.1), "factor is -0.1"),
        (lambda: optim.warmup(-2.0, 5), "after is -2.0"),
        (lambda: optim.step_decay(1.0, 0), "every is 0"),
        (lambda: optim.warmup(1.0, 0), "steps is 0"),
        (lambda: optim.clip_by_norm(np.ones(2), 0), "most is 0"),
        (lambda: optim.clip_by_value(np.ones(2), -1), "most is -1"),
    ],
)
def test_an_impossible_number_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("rate", ["0.1", None, [0.1]])
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(TypeError, match=r"rate is .*; it must be a number"):
        optim.adam(rate)


@pytest.mark.parametrize("state", [None, {}, optim.sgd(0.1, momentum=0.9).init(np.ones(2))])
def test_the_state_of_another_optimiser_is_refused(state):
    with pytest.raises(ValueError, match="the state is not that of this optimiser, which init makes: it has"):
        optim.adam().update(np.ones(2), np.ones(2), state)


def test_gradients_of_another_structure_or_shape_are_refused():
    optimiser = optim.sgd(0.1)
    with pytest.raises(ValueError, match="gradients have the structure"):
        optimiser.update({"w": np.ones(2)}, {"v": np.ones(2)}, optimiser.init({"w": np.ones(2)}))
    with pytest.raises(ValueError, match=r"gradients: w has shape \(3,\), but the parameter \(2,\)"):
        optimiser.update({"w": np.ones(2)}, {"w": np.ones(3)}, optimiser.init({"w": np.ones(2)}))


def test_the_state_of_other_parameters_is_refused():
    optimiser = optim.adam()
    state = optimiser.init({"w": np.ones(3)})
    with pytest.raises(ValueError, match=r"state\['mean'\]: w has shape \(3,\)"):
        optimiser.update({"w": np.ones(2)}, {"w": np.ones(2)}, state)


def test_a_parameter_that_is_no_float_is_named():
    with pytest.raises(TypeError, match=r"layer\.0 is int64: only floating-point"):
        optim.sgd(0.1).init({"layer": [np.arange(3)]})


def test_no_parameters_are_no_error():
    optimiser = optim.sgd(0.1, momentum=0.5)
    params, state = optimiser.update({}, {}, optimiser.init({}))
    assert params == {}
    assert int(state["step"]) == 1
