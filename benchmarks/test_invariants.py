"""The declared properties of every registered metric, also of your own, checked by Hypothesis."""

from functools import cache

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


@cache
def drawn(metric):
    """All promises of a metric are checked on the same cases."""
    from alignbench.metrics.strategies import examples

    return examples(METRICS.get(metric), EXAMPLES)


@pytest.mark.parametrize(("metric", "promise"), PROMISES)
def test_invariants(metric, promise):
    from alignbench.metrics.strategies import try_cases

    def check(case):
        check_property(METRICS.get(metric), promise, case.x, case.y, case.labels)

    try:
        for case in drawn(metric):
            check(case)
    except Exception:
        try_cases(METRICS.get(metric), EXAMPLES, check)  # raises with the smallest case that fails
        raise
