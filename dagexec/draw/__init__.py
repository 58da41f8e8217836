"""Pictures of graphs: as networkx graphs, as DOT text, as image files; of runs: as timelines."""

from dagexec.draw import notebook  # gives Graph and Compiled what a notebook shows
from dagexec.draw.digraph import to_networkx
from dagexec.draw.dot import draw, to_dot
from dagexec.draw.timeline import timeline

__all__ = ["draw", "timeline", "to_dot", "to_networkx"]
