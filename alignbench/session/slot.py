"""The one model that is kept in memory while several tests use it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from alignbench.session.attempts import Attempts

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.weights.protocols import Described


@dataclass
class ModelSlot:
    """At most one loaded model."""

    _model: Described | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _attempts: Attempts = field(default_factory=Attempts)

    def hold(
        self,
        model: Described,
        device: str,
        dtype: str,
        on_load: Callable[[str, float], None],
    ) -> None:
        """Load `model`, unless it is in memory, and free any other.

        Raises:
            AlignbenchError: it can't be loaded; loading is not tried again.
        """
        from alignbench.embed.models import loaded

        if self._model is model:
            return
        self.release()
        label = model.info.label
        with self._attempts.attempt(label, model=label):
            self._stack.enter_context(loaded(model, label, device, dtype, on_load, model.info.side))
        self._model = model

    def release(self) -> None:
        """Free the model."""
        self._model = None
        self._stack.close()
