"""What all tests share: hypothesis reports how to repeat a failure, and never judges by the clock."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "dagexec", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("dagexec")
