"""Placeholder until the processes executor lands in this session."""
from dagexec.executors.threads import Threads as Processes
