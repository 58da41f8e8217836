"""Why some of NumPy's functions can't be traced, and what to do instead."""

from __future__ import annotations

import numpy as np

from dagexec.xp.registry import REFUSED

SHAPE = "the shape of the result depends on the values, which a trace does not know; "
VALUES = "it needs the values, which a trace does not have; "
OF_VALUES = SHAPE, VALUES  # how the reasons begin that a recorded array, which has a value, does not give
REASONS = {
    SHAPE + "choose by np.where(condition, a, b), or sort by np.argsort": (np.argwhere, np.flatnonzero),
    SHAPE + "sort with np.sort and compare neighbours": (
        np.unique, np.union1d, np.intersect1d, np.setdiff1d, np.setxor1d,
    ),
    SHAPE + "use np.sum(x[:, None] == np.arange(n), axis=0), or np.add.at on xp.zeros(n)": (np.bincount,),
    SHAPE + "cut with a slice": (np.trim_zeros,),
    "the dtype of the result depends on the values, which a trace does not know; use np.real": (
        np.real_if_close,
    ),
    "complex numbers come out where values are negative, which a trace does not know; "
    "cast with astype(complex) and use np's own": (
        np.lib.scimath.sqrt, np.lib.scimath.log, np.lib.scimath.log2, np.lib.scimath.log10,
        np.lib.scimath.logn, np.lib.scimath.power, np.lib.scimath.arccos, np.lib.scimath.arcsin,
        np.lib.scimath.arctanh,
    ),
    VALUES + "print or save the result of the run": (
        np.array2string, np.array_repr, np.array_str, np.save, np.savez, np.savez_compressed, np.savetxt,
    ),
    VALUES + "give the edges, or the number of bins to np.histogram": (np.histogram_bin_edges,),
    "histograms of several variables are not recorded; use np.histogram on each": (
        np.histogram2d, np.histogramdd,
    ),
    "complex numbers have no order": (np.sort_complex,),
    "bits are not packed in a trace": (np.packbits, np.unpackbits),
    "it makes a NumPy array, which can't hold traced values; use xp.asarray": (
        np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require, np.array,
    ),
    "zeros of polynomials are not found in a trace; run it on values": (np.roots,),
}  # fmt: skip
for _why, _functions in REASONS.items():
    for _function in _functions:
        REFUSED[_function] = _why
