"""What is asked of a model that may be a user's, a protocol for each thing, and who has it.

Models of this package have all of it; a registered object needs `embed` alone. What only our own can do
(hidden layers, attention maps, other options, a head) is asked of the classes `Encoder` and `LLM`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike
    from PIL.Image import Image
    from torch import Tensor

    from alignbench.types import ModelInfo


class Described(Protocol):
    """Says what a score has to say of it."""

    @property
    def info(self) -> ModelInfo:
        """Its name, its side, its weights."""


class HasModule(Protocol):
    """Holds a network: what is in memory once a model is loaded."""

    @property
    def model(self) -> Network:
        """The network."""


class Network(Protocol):
    """What torch computes with."""

    def parameters(self) -> Iterator[Tensor]:
        """Return the weights."""


class Embeds(Protocol):
    """Gives a vector an item, be it an image or a text."""

    def embed(self, items: Sequence[Any], /) -> ArrayLike:
        """Return one row per item, [n, d]."""


class EmbedsImages(Protocol):
    """Gives a vector an image: the least that an encoder has."""

    def embed(self, images: Sequence[Image], /) -> ArrayLike:
        """Return one row per image, [n, d]."""


class EmbedsTexts(Protocol):
    """Gives a vector a text: the least that an LLM has."""

    def embed(self, texts: Sequence[str], /) -> ArrayLike:
        """Return one row per text, [n, d]."""


class Loads(Protocol):
    """Has weights that have to be brought into memory before it can run."""

    def load(self, device: str, dtype: str, /) -> object:
        """Bring them there."""


class Unloads(Protocol):
    """Can give its memory back."""

    def unload(self) -> object:
        """Free it; `load` may come again."""


class Fingerprints(Protocol):
    """Says what its vectors depend on, so that they can be cached."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Return all that the vectors depend on but for the dtype."""


class ChoosesDtype(Protocol):
    """Says which arithmetic it will use."""

    def effective_dtype(self, device: str, dtype: str, /) -> str:
        """Return its name."""


class RunsBatches(Loads, Unloads, Fingerprints, Protocol):
    """Runs inputs that were prepared apart from it."""

    def forward(self, batch: Sequence[Any], /) -> ArrayLike:
        """Return one row per input, [b, d]."""


class PreparesImages(RunsBatches, Protocol):
    """Makes an image ready apart from the forward pass, in several threads if need be."""

    def preprocess(self, image: Image, /) -> Any:
        """Return what `forward` takes a batch of."""


class PreparesTexts(RunsBatches, Protocol):
    """Makes tokens of texts apart from the forward pass, so that texts of like length can go together."""

    def tokenize(self, texts: Sequence[str], /) -> Sequence[Sequence[int]]:
        """Return the token ids of each text; `forward` takes a batch of such lists."""


class GivesPatches(Protocol):
    """Gives a vector a patch."""

    def patches(self, images: Sequence[Image], /) -> ArrayLike:
        """Return [n, p, d]."""


class PreparesPatches(PreparesImages, Protocol):
    """Gives a vector a patch of images that were prepared apart."""

    def forward_patches(self, batch: Sequence[Any], /) -> ArrayLike:
        """Return [b, p, d]."""


class CountsCutTexts(Protocol):
    """Knows how many texts are longer than what it reads."""

    def truncated(self, texts: Sequence[str], /) -> int:
        """Return how many of the texts it reads in part only."""


ImageModel: TypeAlias = EmbedsImages | PreparesImages
TextModel: TypeAlias = EmbedsTexts | PreparesTexts
Model: TypeAlias = ImageModel | TextModel


def embeds(model: object) -> TypeGuard[Embeds]:
    """Whether the model gives vectors at all."""
    return has(model, Embeds)


def loads(model: object) -> TypeGuard[Loads]:
    """Whether the model has to be loaded."""
    return has(model, Loads)


def unloads(model: object) -> TypeGuard[Unloads]:
    """Whether the model can be freed."""
    return has(model, Unloads)


def fingerprints(model: object) -> TypeGuard[Fingerprints]:
    """Whether the model says what its vectors depend on."""
    return has(model, Fingerprints)


def chooses_dtype(model: object) -> TypeGuard[ChoosesDtype]:
    """Whether the model says which arithmetic it will use."""
    return has(model, ChoosesDtype)


def prepares_images(model: object) -> TypeGuard[PreparesImages]:
    """Whether images can be made ready apart from the model."""
    return has(model, PreparesImages)


def prepares_texts(model: object) -> TypeGuard[PreparesTexts]:
    """Whether texts can be made tokens of apart from the model."""
    return has(model, PreparesTexts)


def gives_patches(model: object) -> TypeGuard[GivesPatches]:
    """Whether the model gives a vector a patch."""
    return has(model, GivesPatches)


def prepares_patches(model: object) -> TypeGuard[PreparesPatches]:
    """Whether the model gives a vector a patch of images that were made ready apart from it."""
    return has(model, PreparesPatches)


def counts_cut_texts(model: object) -> TypeGuard[CountsCutTexts]:
    """Whether the model knows which texts it cuts."""
    return has(model, CountsCutTexts)


def has(model: object, protocol: type) -> bool:
    """Whether an object has all methods of a protocol.

    All of them are asked for: many a user's module has a `forward` of another meaning beside its `embed`.
    `isinstance` would not do: from Python 3.12 on it does not see what a wrapper passes on by `__getattr__`.
    """
    return all(callable(getattr(model, name, None)) for name in _methods(protocol))


@cache
def _methods(protocol: type) -> tuple[str, ...]:
    return tuple({name for cls in protocol.__mro__ for name in vars(cls) if not name.startswith("_")})
