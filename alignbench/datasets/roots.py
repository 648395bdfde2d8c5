"""Where the data is: the order in which the places that a user can name are tried."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.datasets.recognise import HUB, split_spec
from alignbench.paths import exists, user_path

if TYPE_CHECKING:
    from alignbench.config import Config

VARIABLE = "VLM_DATA_ROOT"
# Without the folder: the data is the same wherever the package is, and reports are shared.
PACKAGED = "the packaged samples"
DRAWN = "drawn by alignbench.datasets.synthetic"


@dataclass(frozen=True, slots=True)
class Root:
    """The place of the data.

    Args:
        path: the file or folder, or a pattern of files.
        rule: the rule that selected it.
        reader: the reader that reads it, if the user has chosen one.
    """

    path: Path
    rule: str
    reader: str | None = None

    @property
    def origin(self) -> str:
        """The place and the rule, to be shown to the user."""
        return self.rule if self.rule == PACKAGED else f"{self.path} ({self.rule})"


def find_root(root: str | Path | None = None, config: Config | None = None) -> Root:
    """Return the argument's place, else that of `VLM_DATA_ROOT`, else the configuration's, else the samples'.

    The first of these that is set is used or refused; a wrong one never falls through to the next.

    Args:
        root: a path, or a reader and a path: `table:data.txt`.
        config: the configuration; None loads it.
    """
    from alignbench.config import load_config

    config = load_config() if config is None else config
    variable = os.environ.get(VARIABLE)
    if root is not None:
        return _named(root, "the data root", "as asked for")
    if variable:
        return _named(variable, VARIABLE, VARIABLE)
    if config.data_root is not None:
        return Root(config.data_root, "data_root of the configuration")
    return sample_root(config)


def sample_root(config: Config) -> Root:
    """Return the place of the samples: the configuration's, else the packaged ones."""
    from alignbench.paths import sample_data

    if config.sample_dir is not None:
        return Root(config.sample_dir, "data.sample_dir of the configuration")
    return Root(sample_data(), PACKAGED)


def is_toy_data(origin: str) -> bool:
    """Return whether data of this origin are drawings that alignbench ships or makes."""
    return origin.startswith((PACKAGED, DRAWN))


def _named(text: str | Path, what: str, rule: str) -> Root:
    reader, path = (None, text) if exists(text) else split_spec(str(text))
    return Root(Path(path) if reader == HUB else user_path(path, what), rule, reader)
