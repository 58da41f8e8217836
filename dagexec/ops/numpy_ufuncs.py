"""Elementwise ops that NumPy has beside those of the Array API; kernels and dtypes are of its ufuncs."""

from __future__ import annotations

from typing import Any

from dagexec.ops.elementwise import TRANSCENDENTAL, ufunc


def _share_of_extremum(xp: Any, g: Any, wins: Any, a: Any, b: Any) -> Any:
    """The cotangent of `a` where it `wins` against `b` or `b` is NaN; ties are split in halves."""
    return xp.where(xp.logical_or(wins, xp.isnan(b)), g, xp.where(xp.equal(a, b), 0.5 * g, 0))


ufunc(
    "fmax",
    lambda xp, g, y, a, b: _share_of_extremum(xp, g, xp.greater(a, b), a, b),
    lambda xp, g, y, a, b: _share_of_extremum(xp, g, xp.greater(b, a), b, a),
    doc="the larger of both, and of a NaN and a number the number",
)
ufunc(
    "fmin",
    lambda xp, g, y, a, b: _share_of_extremum(xp, g, xp.less(a, b), a, b),
    lambda xp, g, y, a, b: _share_of_extremum(xp, g, xp.less(b, a), b, a),
    doc="the smaller of both, and of a NaN and a number the number",
)
ufunc(
    "fmod",
    lambda xp, g, y, a, b: g,
    lambda xp, g, y, a, b: -g * xp.trunc(a / b),
    cost=4,
    doc="a − b × (a / b without its fraction), with the sign of a",
)
ufunc("cbrt", lambda xp, g, y, x: g / (3 * xp.square(y)), cost=TRANSCENDENTAL, doc="cube root")
ufunc(
    "heaviside",
    None,
    lambda xp, g, y, x, middle: xp.where(xp.equal(x, 0), g, 0),
    doc="0 for x < 0, 1 for x > 0, and the second operand for x = 0",
)
ufunc(
    "ldexp",
    lambda xp, g, y, x, exponent: xp.ldexp(g, exponent),
    None,
    doc="x × 2 to the power of an integer",
)
ufunc(
    "logaddexp2",
    lambda xp, g, y, a, b: g * xp.exp2(a - y),
    lambda xp, g, y, a, b: g * xp.exp2(b - y),
    cost=3 * TRANSCENDENTAL,
    doc="log₂(2ᵃ + 2ᵇ), without overflow",
)
ufunc(
    "float_power",
    lambda xp, g, y, a, b: g * b * xp.float_power(a, xp.where(xp.equal(b, 0), 1, b - 1)),
    lambda xp, g, y, a, b: g * y * xp.log(xp.where(xp.equal(a, 0), 1, a)),
    cost=2 * TRANSCENDENTAL,
    doc="a to the power of b, in double precision at least",
)
ufunc("deg2rad", lambda xp, g, y, x: xp.deg2rad(g), doc="degrees as radians")
ufunc("rad2deg", lambda xp, g, y, x: xp.rad2deg(g), doc="radians as degrees")
ufunc("fabs", lambda xp, g, y, x: g * xp.sign(x), doc="absolute value as a floating-point number")
for _name, _doc in (
    ("gcd", "greatest common divisor"),
    ("lcm", "least common multiple"),
    ("bitwise_count", "how many bits of |x| are one"),
    ("spacing", "distance to the next floating-point number"),
):
    ufunc(_name, doc=_doc)
