"""What all tests share: hypothesis reports how to repeat a failure, and never judges by the clock."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "dagexec",
    max_examples=60,  # each run draws others
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("dagexec")
