"""What is asked of a model that may be a user's: one protocol for each capability, and checks for it.

Models of this package have all of them; a registered object only needs `embed`. What only our own models can
do (hidden layers, attention maps, other options, a head) belongs to the classes `Encoder` and `LLM`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike
    from PIL.Image import Image
    from torch import Tensor

    from alignbench.types import ModelInfo


class Described(Protocol):
    """Describes itself for scores."""

    @property
    def info(self) -> ModelInfo:
        """Its name, its side, its weights, ..."""


class HasModule(Protocol):
    """Holds a network, which is in memory once a model is loaded."""

    @property
    def model(self) -> Network:
        """The network."""


class Network(Protocol):
    """The torch module that computes."""

    def parameters(self) -> Iterator[Tensor]:
        """Return the weights."""


class ProjectsImages(Network, Protocol):
    """A model of transformers with a vision side: an image's features as it hands them to its other side."""

    def get_image_features(self, **inputs: Any) -> Any:
        """Return `last_hidden_state` of the vision tower, and `pooler_output` after the projection."""


@runtime_checkable
class ProjectsBoth(ProjectsImages, Protocol):
    """A model of transformers that takes images and texts to one space."""

    def get_text_features(self, **inputs: Any) -> Any:
        """Return `pooler_output` after the projection."""


class Embeds(Protocol):
    """Returns a vector for each item, be it an image or a text."""

    def embed(self, items: Sequence[Any], /) -> ArrayLike:
        """Return one row per item, [n, d]."""


class EmbedsImages(Protocol):
    """Returns a vector for each image: the minimum for an encoder."""

    def embed(self, images: Sequence[Image], /) -> ArrayLike:
        """Return one row per image, [n, d]."""


class EmbedsTexts(Protocol):
    """Returns a vector for each text: the minimum for an LLM."""

    def embed(self, texts: Sequence[str], /) -> ArrayLike:
        """Return one row per text, [n, d]."""


class Loads(Protocol):
    """Has weights that have to be loaded into memory before it can run."""

    def load(self, device: str, dtype: str, /) -> object:
        """Load them."""


class Unloads(Protocol):
    """Can release its memory."""

    def unload(self) -> object:
        """Release it; `load` may follow again."""


class Fingerprints(Protocol):
    """Says what its vectors depend on, so that they can be cached."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Return everything that the vectors depend on except the dtype."""


class ChoosesDtype(Protocol):
    """Says which arithmetic it will use."""

    def effective_dtype(self, device: str, dtype: str, /) -> str:
        """Return its name."""


class RunsBatches(Loads, Unloads, Fingerprints, Protocol):
    """Processes inputs that were prepared separately."""

    def forward(self, batch: Sequence[Any], /) -> ArrayLike:
        """Return one row per input, [b, d]."""


class PreparesImages(RunsBatches, Protocol):
    """Prepares an image separately from the forward pass, in several threads if necessary."""

    def preprocess(self, image: Image, /) -> Any:
        """Return an input of which `forward` takes a batch."""


class StagesImages(PreparesImages, Protocol):
    """Brings a batch to its device before its turn, while another thread computes the batch before it."""

    def staged(self, batch: Sequence[Any], /) -> Sequence[Any]:
        """Return the batch for `forward`."""


class PreparesTexts(RunsBatches, Protocol):
    """Tokenizes texts separately from the forward pass, so that texts of similar length can form a batch."""

    def tokenize(self, texts: Sequence[str], /) -> Sequence[Sequence[int]]:
        """Return the token ids of each text; `forward` takes a batch of such lists."""


class GivesPatches(Protocol):
    """Returns a vector for each patch."""

    def patches(self, images: Sequence[Image], /) -> ArrayLike:
        """Return [n, p, d]."""


class PreparesPatches(PreparesImages, Protocol):
    """Returns a vector for each patch of images that were prepared separately."""

    def forward_patches(self, batch: Sequence[Any], /) -> ArrayLike:
        """Return [b, p, d]."""


class CountsCutTexts(Protocol):
    """Knows how many texts are longer than its limit."""

    def truncated(self, texts: Sequence[str], /) -> int:
        """Return how many of the texts it reads only in part."""


ImageModel: TypeAlias = EmbedsImages | PreparesImages
TextModel: TypeAlias = EmbedsTexts | PreparesTexts
Model: TypeAlias = ImageModel | TextModel


def embeds(model: object) -> TypeGuard[Embeds]:
    """Whether the model returns vectors at all."""
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
    """Whether images can be prepared separately from the model."""
    return has(model, PreparesImages)


def stages_images(model: object) -> TypeGuard[StagesImages]:
    """Whether a batch of prepared images can be brought to the model's device before its turn."""
    return has(model, StagesImages)


def prepares_texts(model: object) -> TypeGuard[PreparesTexts]:
    """Whether texts can be tokenized separately from the model."""
    return has(model, PreparesTexts)


def gives_patches(model: object) -> TypeGuard[GivesPatches]:
    """Whether the model returns a vector for each patch, as many for each image, in the order of its rows."""
    return has(model, GivesPatches) and not getattr(model, "no_patches", "")


def prepares_patches(model: object) -> TypeGuard[PreparesPatches]:
    """Whether the model returns a vector for each patch of images that were prepared separately."""
    return has(model, PreparesPatches)


def counts_cut_texts(model: object) -> TypeGuard[CountsCutTexts]:
    """Whether the model knows which texts it truncates."""
    return has(model, CountsCutTexts)


def has(model: object, protocol: type) -> bool:
    """Whether an object has all methods of a protocol.

    All of them are required, because many a user's module has a `forward` with another meaning beside its
    `embed`. `isinstance` would not do: from Python 3.12 on, it does not see what a wrapper passes on through
    `__getattr__`.
    """
    try:
        return all(map(callable, _methods(protocol)(model)))
    except AttributeError:
        return False


@cache
def _methods(protocol: type) -> Callable[[object], tuple[object, ...]]:
    """Return the function that gets an object's methods of a protocol."""
    names = sorted({name for cls in protocol.__mro__ for name in vars(cls) if not name.startswith("_")})
    return lambda model: tuple(getattr(model, name) for name in names)
