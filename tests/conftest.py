"""hypothesis profiles: short in `make test`, long in `make fuzz`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

FUZZ_EXAMPLES = 3000

_COMMON = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

settings.register_profile("default", _COMMON, max_examples=150)
settings.register_profile("fuzz", _COMMON, max_examples=FUZZ_EXAMPLES)
settings.load_profile("default")
