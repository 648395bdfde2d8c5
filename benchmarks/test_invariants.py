"""What every registered metric declares of itself, checked by Hypothesis on hostile input: yours included."""

import pytest

from alignbench.metrics import METRICS
from alignbench.metrics.properties import check_property, declared_properties

pytestmark = pytest.mark.invariants

EXAMPLES = 5  # a smoke test in every run; the project's own tests try far more

PROMISES = [
    pytest.param(name, promise, id=f"{name}-{promise}")
    for name in METRICS
    for promise in declared_properties(METRICS.get(name))
]


@pytest.mark.parametrize(("metric", "promise"), PROMISES)
def test_invariants(metric, promise):
    from hypothesis import HealthCheck, given, settings

    from alignbench.metrics.strategies import cases

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases(METRICS.get(metric)))
    def check(case):
        check_property(METRICS.get(metric), promise, case.x, case.y, case.labels)

    check()
