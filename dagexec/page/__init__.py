"""The interactive page of a graph: how it was derived, how it was run, and what is in it, in one HTML file.

`model` says what a graph consists of, `recording` what runs did; `html` puts both into the page, whose own
code (folder `page/` of the repository) draws them in the browser.
"""

from dagexec.page.html import to_html
from dagexec.page.model import model

__all__ = ["model", "to_html"]
