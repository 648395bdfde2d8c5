"""Where the benchmarks, the sample data and the embedded models are: in a clone, or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from alignbench.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent


def suite_root() -> Path:
    """Return the folder that holds `benchmarks/` and `sample_data/`.

    Raises:
        ConfigError: neither the clone's nor the wheel's is there.
    """
    for root in (PACKAGE.parent, PACKAGE / "_suite"):
        if (root / "sample_data" / "labels.jsonl").is_file() and (root / "benchmarks").is_dir():
            return root
    raise ConfigError(
        f"no benchmarks/ and sample_data/ beside {PACKAGE} or in it; reinstall alignbench or use a clone"
    )


def benchmarks() -> Path:
    """Return the folder of the benchmark tests."""
    return suite_root() / "benchmarks"


def sample_data() -> Path:
    """Return the folder of the packaged data: labels.jsonl, images/, models/."""
    return suite_root() / "sample_data"


def models_dir() -> Path:
    """Return the folder of the embedded models."""
    return sample_data() / "models"
