"""Graphs from elsewhere: those of Dask and of networkx."""

from dagexec.interop.dask import from_dask, get, plan_of
from dagexec.interop.networkx import from_networkx
