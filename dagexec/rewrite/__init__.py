"""Rewrites, each a function from one graph to another: one file a rewrite."""

from dagexec.rewrite.rebuilding import Rewrite
from dagexec.rewrite.scalarize import scalarize

# What `compile` does to a graph, in this order, unless it is told otherwise.
REWRITES: tuple[Rewrite, ...] = ()

__all__ = ["REWRITES", "Rewrite", "scalarize"]
