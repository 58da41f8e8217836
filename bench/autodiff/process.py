"""A module of the benchmark in a process of its own, with its cores, its threads and an empty cache."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from subprocess import PIPE
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Timer
from types import MappingProxyType
from typing import Any

LONGEST = 1_800.0  # seconds that a process may take

# Cores first: libraries look when they are imported how many there are.
PINNED = """
import os, runpy, sys
os.sched_setaffinity(0, map(int, sys.argv.pop(1).split(",")))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


class Child:
    """A module run in a process with as many cores as threads; `error` says afterwards why it failed."""

    def __init__(
        self,
        module: str,
        threads: int,
        arguments: Sequence[str] = (),
        given: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._cores = sorted(os.sched_getaffinity(0))[-threads:]
        cores = ",".join(map(str, self._cores))
        self._command = [sys.executable, "-c", PINNED, cores, f"bench.autodiff.{module}", *arguments]
        self._given = given
        self._variables = {
            "OPENBLAS_NUM_THREADS": str(threads),
            "OMP_NUM_THREADS": str(threads),
            "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            **variables,
        }
        self.error = None if len(self._cores) == threads else f"there are not {threads} cores"

    def rows(self) -> Iterator[dict[str, Any]]:
        """What it prints, as it does."""
        if self.error:
            return
        with TemporaryDirectory() as cache, TemporaryFile("w+") as said:  # an empty one: a first call is one
            environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache} | self._variables
            with subprocess.Popen(
                self._command, text=True, env=environment, stdin=PIPE, stdout=PIPE, stderr=said
            ) as child:
                timer = Timer(LONGEST, child.kill)
                timer.start()
                try:
                    assert child.stdin
                    assert child.stdout
                    with child.stdin:
                        child.stdin.write(self._given)
                    for line in child.stdout:
                        if line.startswith("{"):
                            yield json.loads(line)
                except BaseException:
                    child.kill()
                    raise
                finally:
                    timer.cancel()
            if child.returncode:
                said.seek(0)
                self.error = _why(child.returncode, said.read())


def _why(status: int, said: str) -> str:
    """Why a process failed, from its exit status and its last words."""
    if "Timeout (" in said:  # faulthandler's
        return "stopped, as its first call took too long"
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"exit status {status}: {''.join(said.strip().splitlines()[-1:])}"
