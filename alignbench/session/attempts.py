"""Work that failed once is not tried again: the next test that needs it fails with the same message."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.errors import AlignbenchError, DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Attempts:
    """Remembers what failed, and with which error."""

    _failed: dict[tuple[str, ...], tuple[type[AlignbenchError], str]] = field(default_factory=dict)

    @contextmanager
    def attempt(self, *key: str, model: str | None = None) -> Iterator[None]:
        """Enter work that may fail, unless it has failed before.

        An error that the user can mend reads the same each time, so that a reader sees that it is one. What
        else is raised is a bug: it is raised as it is, and later tests say only that it happened.

        Args:
            key: names the work.
            model: the label of the model that the work is done with; its errors begin with it. An error of
                the data does not: it is the same for all models.

        Raises:
            AlignbenchError: the work failed before, or it fails now.
        """
        if key in self._failed:
            kind, text = self._failed[key]
            # Without __init__, which may want more than a text.
            raise kind.__new__(kind, text)
        try:
            yield
        except AlignbenchError as error:
            text = str(error)
            if model is not None and model not in text and not isinstance(error, DataError):
                text = f"{model}: {text}"
                error.args = (text,)
            # Not the error itself: its traceback holds the model in memory.
            self._failed[key] = (type(error), text)
            raise
        except Exception as error:
            who = f"{model}: " if model else ""
            self._failed[key] = (
                ModelError,
                f"{who}{type(error).__name__}: {error} (an earlier test failed with this traceback)",
            )
            raise
