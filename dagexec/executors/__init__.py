"""Executors: the same Plan on one thread, several threads or several processes."""

from dagexec.executors.cancelling import Handle, submit
from dagexec.executors.compiled import Compiled, compile, run
from dagexec.executors.failures import Failure, TasksFailed
from dagexec.executors.runner import CHOICES, Options, Runner, available_cores
