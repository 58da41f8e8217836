"""What tests share: hypothesis reports how to repeat a failure, and never judges by the clock."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "dagexec",
    max_examples=60,  # each run draws others
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("dagexec")


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    """The current directory, with the graph files that a module of tests has in FILES."""
    for name, text in request.module.FILES.items():
        (tmp_path / f"{name}.py").write_text(f"import numpy as np\n{text}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path
