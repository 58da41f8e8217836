"""The cases of convolution and pooling, for the tests of gradients, of vmap, and of other libraries."""

from typing import Any, NamedTuple

from dagexec import xp
from tests.ops.cases import case, values


class Window(NamedTuple):
    """Shapes of data and weights, and the parameters of `convolution`."""

    x: tuple[int, ...]
    weights: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    input_dilation: tuple[int, ...] = (1, 1)
    groups: int = 1

    @property
    def params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields[2:]}


WINDOWS = {
    "one axis": Window((2, 2, 5), (3, 2, 2), (1,), ((0, 0),), (1,), (1,)),
    "single place": Window((2, 2, 2, 2), (2, 2, 1, 1), (1, 1), ((0, 0),) * 2, (1, 1)),
    "strides that leave some over": Window((1, 2, 6, 4), (2, 2, 3, 2), (2, 3), ((0, 0),) * 2, (1, 1)),
    "padding": Window((1, 1, 3, 2), (2, 1, 3, 2), (1, 2), ((2, 0), (1, 3)), (1, 1)),
    "cut off": Window((1, 1, 5, 4), (1, 1, 2, 2), (1, 1), ((-1, 0), (1, -2)), (1, 1)),
    "dilation": Window((1, 1, 6, 5), (2, 1, 2, 3), (2, 1), ((1, 0), (0, 1)), (3, 2)),
    "input dilation": Window((2, 3, 2, 2), (1, 3, 2, 2), (1, 1), ((1, 1),) * 2, (1, 1), (2, 3)),
    "input dilation, strides": Window((1, 1, 3, 2), (1, 1, 2, 2), (3, 2), ((1, 0), (-1, 2)), (1, 2), (2, 2)),
    "groups": Window((2, 4, 3, 3), (2, 2, 2, 2), (1, 1), ((0, 1),) * 2, (1, 1), groups=2),
    "each channel by itself": Window((1, 2, 4, 3), (4, 1, 2, 2), (2, 1), ((0, 0),) * 2, (1, 1), groups=2),
    "all of it": Window((2, 2, 3, 2), (3, 2, 3, 2), (1, 1), ((0, 0),) * 2, (1, 1)),
    "few inputs, many outputs": Window((1, 3, 2, 1), (2, 3, 2, 2), (1, 1), ((1, 1), (2, 1)), (1, 1)),
}
for _name, _window in WINDOWS.items():
    case(
        "convolution",
        _name,
        lambda x, w, params=_window.params: xp.convolution(x, w, **params),
        values(*_window.x),
        values(*_window.weights),
    )

POOLS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "one axis": ((2, 2, 5), {"windows": (2,), "strides": (2,), "padding": ((0, 0),)}),
    "side by side": ((1, 2, 4, 6), {"windows": (2, 3), "strides": (2, 3), "padding": ((0, 0),) * 2}),
    "overlapping": ((1, 1, 4, 5), {"windows": (3, 2), "strides": (1, 1), "padding": ((0, 0),) * 2}),
    "padded": ((1, 2, 3, 4), {"windows": (2, 3), "strides": (2, 2), "padding": ((1, 0), (1, 2))}),
    "gaps": ((2, 1, 5, 5), {"windows": (1, 2), "strides": (2, 3), "padding": ((0, 0),) * 2}),
}
for _name, (_shape, _params) in POOLS.items():
    case("max_pool", _name, lambda x, params=_params: xp.max_pool(x, **params) ** 2, values(*_shape))
    case(
        "max_pool_pick",
        _name,
        lambda v, x, params=_params: xp.max_pool_pick(v * v, x, xp.max_pool(x, **params), **params),
        values(*_shape),
        values(*_shape),
        wrt=(0,),
    )
    case(
        "max_pool_put",
        _name,
        lambda g, x, params=_params: xp.max_pool_put(
            xp.max_pool(x, **params) * g * g, x, xp.max_pool(x, **params), **params
        ),
        values(),
        values(*_shape),
        wrt=(0,),
    )
