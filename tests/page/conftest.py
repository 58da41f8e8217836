"""One browser for all tests of the page, the pages they look at, and a guard over each window."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from click.testing import CliRunner

import dagexec
from dagexec.cli import main
from dagexec.graph import Graph
from dagexec.graphfile import graph_of, load
from tests.page.browsing import Windows

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
INSIDE = ("blob:", "data:")
RNN = {"steps": "3", "batch": "2", "features": "3", "hidden": "4", "outputs": "2"}


@pytest.fixture(scope="session")
def executable() -> str:
    """The path of the system's browser; where there is none, or no playwright, the tests are skipped."""
    pytest.importorskip("playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    return path


@pytest.fixture(scope="module")  # until it ends, playwright's event loop runs: other tests want their own
def windows(executable: str) -> Iterator[Windows]:
    from playwright.sync_api import Error, sync_playwright

    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        except Error as error:
            pytest.skip(f"{executable} does not start: {str(error).splitlines()[0]}")
        yield Windows(browser)
        browser.close()


@pytest.fixture
def visit(windows: Windows) -> Iterator[Callable[..., Any]]:
    """`Windows.visit`; no page may say anything on the console, or ask for anything but itself."""
    yield windows.visit
    said, windows.said = windows.said, []
    asked, windows.asked = windows.asked, []
    pages = {file.as_uri() for file, _ in windows.open}
    assert said == []
    assert [url for url in asked if url.split("#")[0] not in pages and not url.startswith(INSIDE)] == []


@pytest.fixture(scope="session")
def rnn() -> Graph:
    """What `rnn_page` shows."""
    return graph_of(load(Path("graphs/rnn.py")).built(RNN), False)


@pytest.fixture(scope="session")
def rnn_page(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small recurrent network with its gradients, run on all executors, as the command writes it."""
    file: Path = tmp_path_factory.mktemp("pages") / "rnn.html"
    options = [part for name, text in RNN.items() for part in ("-p", f"{name}={text}")]
    result = CliRunner().invoke(main, ["view", "graphs/rnn.py", *options, "--workers", "2", "-o", str(file)])
    assert result.exit_code == 0, result.output
    return file


@pytest.fixture(scope="session")
def tasks_page(executable: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five tasks that take their time, two at once: bars that are wide enough to be pointed at."""

    @dagexec.task
    def wait(milliseconds: int, *before: int) -> int:
        sleep(milliseconds / 1000)
        return milliseconds

    left, right = wait(15, wait(10)), wait(8, wait(20))
    file: Path = tmp_path_factory.mktemp("pages") / "tasks.html"
    wait(12, left, right).graph().to_html(file, runs=["serial", "threads"], workers=2)
    return file
