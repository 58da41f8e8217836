"""Rewrites, each a function from one graph to another: one file a rewrite."""

from dagexec.rewrite.scalarize import scalarize

__all__ = ["scalarize"]
