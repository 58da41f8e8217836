"""Rewrites, each a function from one graph to another: one file a rewrite."""

from collections.abc import Sequence

from dagexec.graph import Graph
from dagexec.rewrite.assemble import assemble
from dagexec.rewrite.batch_products import batch_products
from dagexec.rewrite.bodies import EVERYWHERE, rewrite_bodies
from dagexec.rewrite.broadcasts import sink_broadcasts
from dagexec.rewrite.drop_unread import drop_unread
from dagexec.rewrite.factors import gather_factors
from dagexec.rewrite.fold_constants import fold_constants
from dagexec.rewrite.identities import apply_identities
from dagexec.rewrite.merge_common import merge_common
from dagexec.rewrite.products import fold_products
from dagexec.rewrite.rebuilding import Rewrite
from dagexec.rewrite.reductions import reduce_less
from dagexec.rewrite.safer import compute_safely
from dagexec.rewrite.scalarize import scalarize
from dagexec.rewrite.simplify import simplify, simplify_exactly
from dagexec.rewrite.split import split
from dagexec.rewrite.stack_branches import stack_branches
from dagexec.rewrite.sum_products import sum_products
from dagexec.rewrite.transpose_once import transpose_once

# What `compile` does to a graph, in this order, unless it is told otherwise.
REWRITES: tuple[Rewrite, ...] = (*EVERYWHERE, rewrite_bodies)


def rewritten(graph: Graph, rewrites: Sequence[Rewrite] = REWRITES) -> Graph:
    """The graph after rewrites, one after another.

    >>> import dagexec
    >>> rewritten(dagexec.trace(lambda x: x * 1 + 2)(1.0))
    <Graph lambda: 3 nodes>
    """
    for rewrite in rewrites:
        graph = rewrite(graph)
    return graph


__all__ = [
    "REWRITES", "Rewrite", "apply_identities", "assemble", "batch_products", "compute_safely",
    "drop_unread", "fold_constants", "fold_products", "gather_factors", "merge_common", "reduce_less",
    "rewrite_bodies", "rewritten", "scalarize", "simplify", "simplify_exactly", "sink_broadcasts",
    "split", "stack_branches", "sum_products", "transpose_once",
]  # fmt: skip
