"""Pages that stay open from test to test, and what is in their files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PATIENCE = 20_000  # milliseconds until what was waited for counts as missing
SETTLED = 400  # milliseconds of the page's time until nothing moves and the address is written

# As if the page had been opened with another hash, without a second layout of the same graph.
GO = """fragment => {
    document.activeElement?.blur();
    history.replaceState(null, "", "#" + fragment);
    dispatchEvent(new PopStateEvent("popstate"));
}"""


class Windows:
    """Opened pages, each kept for the tests that follow, and what they said and asked for."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.open: dict[Any, Any] = {}
        self.said: list[str] = []
        self.asked: list[str] = []

    def visit(self, file: Path, fragment: str = "", window: str = "", still: bool = False) -> Any:
        """The page with this hash, its graph drawn; `still`: no time passes in it but by `page.clock`."""
        key = (file, window)
        if key not in self.open:
            self.open[key] = self._opened(file, fragment)
        page = self.open[key]
        page.emulate_media(media="screen", color_scheme="light", reduced_motion="no-preference")
        page.mouse.move(640, 20)
        page.clock.resume()
        page.evaluate(GO, fragment)
        page.wait_for_selector("#status:empty", state="attached")
        if still:
            page.clock.pause_at(page.evaluate("Date.now()") + SETTLED)
        else:
            page.clock.fast_forward(SETTLED)
        return page

    def _opened(self, file: Path, fragment: str) -> Any:
        page = self.browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(error.stack))
        page.on("request", lambda request: self.asked.append(request.url))
        page.clock.install(time=0)
        page.goto(f"{file.as_uri()}#{fragment}")
        page.wait_for_selector("body[data-laid-out]")
        return page


def data_of(file: Path) -> dict[str, Any]:
    """The data in a page."""
    (text,) = re.findall(r'id="dagexec-data">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    data: dict[str, Any] = json.loads(text)
    return data
