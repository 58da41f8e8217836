"""Without PyTorch, tests that compare with it are not collected: a skipped module is imported only once."""

from importlib.util import find_spec
from pathlib import Path

collect_ignore = [
    path.name
    for path in Path(__file__).parent.glob("test_*.py")
    if find_spec("torch") is None and "against_torch" in path.read_text(encoding="utf-8")
]
