"""Sessions with their embeddings, and a few models, which stay in memory from one click to the next."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, TypeVar, cast

from alignbench.errors import AlignbenchError
from alignbench.session.session import Session

if TYPE_CHECKING:
    from alignbench.encoders import Encoder
    from alignbench.llms import LLM
    from alignbench.session.options import Options

H = TypeVar("H", bound="Encoder | LLM")

SESSIONS = 4  # sessions whose embeddings stay in memory
LOADED = 2  # models that stay in memory
LOADED_BYTES = 2 * 2**30  # the largest sum of their weights; a larger model is freed after its work


class Sessions:
    """The last few sessions with their embeddings."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Session] = OrderedDict()

    def get(self, options: Options) -> Session:
        """Return the session with the models and data of these options: an earlier one, else a new one."""
        # Embeddings do not depend on other options that visitors can choose.
        key = repr((options.encoders, options.llms, options.data_types, options.n_samples, options.seed))
        session = self._kept.pop(key, None) or Session(options)
        session.options = options
        self._kept[key] = session
        while len(self._kept) > SESSIONS:
            self._kept.popitem(last=False)[1].release()
        return session

    def forget(self, session: Session) -> None:
        """Drop a session in which something failed, because it would not try that again."""
        self._kept = OrderedDict((key, kept) for key, kept in self._kept.items() if kept is not session)


class RecentModels:
    """The last few models that were used, which stay in memory if they are small."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], Encoder | LLM] = OrderedDict()

    def get(self, model: H, device: str, dtype: str) -> H:
        """Return a loaded model: an equal one that was loaded before, else this one."""
        info = model.info
        key = (info.side, info.label, info.source, repr(sorted(info.params.items(), key=str)), device, dtype)
        # The key contains the side, so the model is of the same class.
        kept = cast("H | None", self._kept.pop(key, None))
        if kept is None or not kept.loaded:
            self._make_room()
            kept = model
            kept.load(device, dtype)
        self._kept[key] = kept
        return kept

    def tidy(self) -> None:
        """Free the oldest models until there are few and small ones."""
        while self._kept and (
            len(self._kept) > LOADED or sum(map(bytes_of, self._kept.values())) > LOADED_BYTES
        ):
            self._kept.popitem(last=False)[1].unload()

    def clear(self) -> None:
        """Free all models."""
        while self._kept:
            self._kept.popitem()[1].unload()

    def _make_room(self) -> None:
        while len(self._kept) >= LOADED:
            self._kept.popitem(last=False)[1].unload()


def bytes_of(model: Encoder | LLM) -> int:
    """Return the size of a model's files; 0 if they are not on this machine."""
    try:
        located = model.source.local(model.wanted)
    except AlignbenchError:
        return 0
    return 0 if located is None else located.size
