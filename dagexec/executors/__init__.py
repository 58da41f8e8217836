"""Executors: the same Plan on one thread, several threads or several processes."""

from dagexec.executors.compiled import CHOICES, Compiled, available_cores, compile, run
