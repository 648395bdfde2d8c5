"""The workers of pytest-xdist: whether this process is one, and whether tests run in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest


def worker_input(config: pytest.Config) -> Mapping[str, Any] | None:
    """Return what the main process told this worker; None if this process is none."""
    told: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    return told


def with_workers(config: pytest.Config) -> bool:
    """Return whether workers run the tests, or this process is one of them."""
    return worker_input(config) is not None or getattr(config.option, "dist", "no") != "no"
