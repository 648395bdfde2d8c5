"""The errors of alignbench: each names what was wrong, where, and what to do.

`AlignbenchError` and its subclasses are what a user can fix. Anything else that escapes is a bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class AlignbenchError(Exception):
    """Base of every error that alignbench raises on purpose."""


class AlignbenchWarning(UserWarning):
    """Something that a reader of the run has to know although the run goes on; the report repeats it."""


class InputError(AlignbenchError, ValueError):
    """An argument has the wrong shape, type or range."""


class DegenerateError(InputError):
    """The value does not exist for this input (a zero denominator, one class only, ...).

    A benchmark records it as status `not_applicable`, with this message as the reason.
    """


class TooFewSamplesError(DegenerateError):
    """There are fewer samples (or groups) than the definition needs."""


class UnknownNameError(AlignbenchError, LookupError):
    """A name that no registry knows."""


class ConfigError(AlignbenchError):
    """An option, the configuration file or an environment variable is wrong."""


class DataError(AlignbenchError):
    """A dataset, a line of it or an image can't be read."""


class UnwritableError(AlignbenchError):
    """A file or a folder can't be written: no space, no permission, or something else is in its place.

    Args:
        path: the file or folder.
        why: the reason that the system gave.
        missing: the files that could not be written into the folder.
    """

    def __init__(self, path: Path, why: str, missing: Sequence[str] = ()) -> None:
        listed = f"; missing: {', '.join(missing)}" if missing else ""
        super().__init__(f"{path} can't be written: {why}{listed}")
        self.path = path
        self.why = why
        self.missing = tuple(missing)


class UnlikeError(AlignbenchError):
    """Two runs were made differently, so a difference of their scores would not show what changed."""


class ModelError(AlignbenchError):
    """A model can't be used as requested (wrong family, missing keys, no such layer, ...)."""


class LayersMissingError(ModelError):
    """A model provides no hidden layers."""


class WeightsMissingError(ModelError):
    """A model's weights are not available: not found, gated, or no network."""


class WorkerLostError(AlignbenchError):
    """A part of the work was lost with its worker, and lost again with the next one."""
