from dagexec import xp
from dagexec.graph import Graph, Node, Spec
from dagexec.tracing import TracingError, block, scope, trace
from dagexec import backward as _b
