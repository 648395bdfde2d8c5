"""The options that every command of an experiment has, by group."""

from __future__ import annotations

from alignbench.options import OPTIONS
from alignbench.session import table  # noqa: F401 (declares the options)

COMMON = {group: tuple(OPTIONS.of_group(group)) for group in ("models", "data", "run")}
