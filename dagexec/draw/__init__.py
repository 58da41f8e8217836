"""Pictures of graphs: as networkx graphs, as DOT text, as image files."""

from dagexec.draw.digraph import to_networkx
from dagexec.draw.dot import draw, to_dot

__all__ = ["draw", "to_dot", "to_networkx"]
