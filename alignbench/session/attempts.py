"""Work that has failed is not tried again: every further test that needs it fails with the same message."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.errors import AlignbenchError, DataError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Attempts:
    """Remembers which work failed, and with which error."""

    _failed: dict[tuple[str, ...], tuple[type[AlignbenchError], str]] = field(default_factory=dict)

    @contextmanager
    def attempt(self, *key: str, model: str | None = None) -> Iterator[None]:
        """Do the work of the block, unless it has failed before.

        An error that the user can fix reads the same each time, so that readers recognise it as one problem.
        Any other error is a bug: it is raised unchanged, and later tests only refer to it.

        Args:
            key: the name of the work.
            model: the label of the model that is used, which the messages begin with. Errors of the data do
                not name it, because they are the same for all models.

        Raises:
            AlignbenchError: the work failed before, or it fails now.
        """
        if key in self._failed:
            kind, text = self._failed[key]
            # Without calling __init__, which may require other arguments.
            raise kind.__new__(kind, text)
        try:
            yield
        except AlignbenchError as error:
            text = str(error)
            if model is not None and model not in text and not isinstance(error, DataError):
                text = f"{model}: {text}"
                error.args = (text,)
            # The error itself is not kept, because its traceback would keep the model in memory.
            self._failed[key] = (type(error), text)
            raise
        except Exception as error:
            text = f"{type(error).__name__}: {error} (an earlier test failed with this traceback)"
            self._failed[key] = (ModelError, f"{model}: {text}" if model else text)
            raise
