"""Curves of training as a picture: which panels there are, and what is in them."""

from __future__ import annotations

import pytest

from dagexec.cli.curves import draw_curves
from dagexec.training import Trained

pytest.importorskip("matplotlib")


def run(*losses, **metrics):
    return Trained(None, losses, {name.replace("_", " "): values for name, values in metrics.items()}, "")


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The function that draws and gives the figure."""
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))

    def draw(runs, parameter=""):
        draw_curves(runs, parameter, "title", tmp_path / "x.svg")
        return figures[-1]

    return draw


def legend(axes):
    """What stands beside the row of a panel."""
    return [text.get_text() for one in axes.get_figure(root=False).legends for text in one.get_texts()]


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def test_losses_share_a_panel_and_each_metric_has_one(drawn):
    one = run(3.0, 2.0, validation_loss=(4.0, 3.5), accuracy=(0.5, 0.75))
    found = panels(drawn({"": one}))
    assert list(found) == ["loss", "accuracy"]
    loss, validation, *_ = found["loss"].get_lines()
    assert (list(loss.get_ydata()), list(validation.get_ydata())) == ([3, 2], [4, 3.5])
    assert (loss.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert list(found["accuracy"].get_lines()[0].get_xdata()) == [1, 2]
    assert legend(found["loss"]) == ["loss", "validation loss"]
    assert legend(panels(drawn({"": run(3.0, 2.0)}))["loss"]) == []


def test_runs_that_are_compared_are_named_and_look_different(drawn):
    runs = {str(rate): run(3.0, rate, accuracy=(0.0, rate)) for rate in range(9)}
    found = panels(drawn(runs, "rate"))
    assert legend(found["loss"]) == [f"rate {r}" for r in range(9)]
    for axes in found.values():
        assert axes.get_legend() is None  # which might cover something
        assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 9


def test_a_vector_has_a_panel_for_each_run_all_with_one_scale(drawn):
    runs = {
        "a": run(1.0, 1.0, norm=((1.0, 0.0), (2.0, 1e-4))),
        "b": run(1.0, 1.0, norm=((50.0, 1.0), (70.0, 2.0))),
    }
    found = panels(drawn(runs, "model"))
    assert list(found) == ["loss", "norm, model a", "norm, model b"]
    a, b = found["norm, model a"], found["norm, model b"]
    assert [list(line.get_ydata()) for line in a.get_lines()] == [[1, 2], [0, 1e-4]]
    assert a.get_ylim() == b.get_ylim()
    assert a.get_yscale() == b.get_yscale() == "log"
    assert legend(a) == ["component 0", "component 1"]


@pytest.mark.parametrize(
    ("losses", "scale"),
    [((1.0, 9.0), "linear"), ((1.0, 11.0), "log"), ((-1.0, 100.0), "linear"), ((0.0, 0.0), "linear")],
)
def test_losses_that_differ_much_have_a_logarithmic_axis(drawn, losses, scale):
    assert panels(drawn({"": run(*losses)}))["loss"].get_yscale() == scale


def test_values_that_are_not_finite_and_a_single_epoch_can_be_drawn(tmp_path):
    one = run(1.0, accuracy=(float("nan"),), norm=((float("inf"), 0.0),))
    draw_curves({"": one}, "", "title", tmp_path / "x.png")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
