"""The models that a session's options select, by the names that the user gave them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from alignbench.errors import ConfigError, UnknownNameError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from alignbench.encoders import Encoder
    from alignbench.llms import LLM
    from alignbench.session.options import Options
    from alignbench.weights.custom import Custom

M = TypeVar("M", bound="Encoder | LLM | Custom")
K = TypeVar("K", bound="Encoder | LLM")


class ModelPool(Protocol):
    """A pool of models that stay in memory."""

    def get(self, model: K, device: str, dtype: str) -> K:
        """Return a loaded model: this one, or an equal one that was loaded before."""


def resolve_models(options: Options) -> tuple[dict[str, Encoder | Custom], dict[str, LLM | Custom]]:
    """Return the selected encoders and LLMs by name, without looking for their weights.

    Raises:
        ConfigError: two models have one name.
    """
    from alignbench import encoders, llms

    of_texts = {"layer": options.llm_layer, "quantization": options.quantize, **_common(options)}

    option = options.spelled("encoders")

    def resolve_llm(spec: str) -> LLM | Custom:
        with _side_told(spec, "an encoder", option, [*encoders.ENCODERS, *options.config.encoders]):
            return llms.resolve(spec, sources=options.config.llms, **of_texts)

    vision = _by_name(resolve_encoder(spec, options) for spec in options.encoders)
    text = _by_name(map(resolve_llm, dict.fromkeys((*options.llms, *options.compared_llms))))
    if both := sorted(set(vision) & set(text)):
        raise ConfigError(f"an encoder and an LLM are both called {both[0]!r}; give one an alias")
    return vision, text


def resolve_encoder(spec: str, options: Options) -> Encoder | Custom:
    """Return the encoder that a spec names, with the options of a session.

    Raises:
        AlignbenchError: the spec can't be used, or nothing has that name.
    """
    from alignbench import encoders, llms

    of_images = {"pooling": options.pooling, "layer": options.layer, "fit": options.fit, **_common(options)}
    with _side_told(spec, "an LLM", options.spelled("llms"), [*llms.LLMS, *options.config.llms]):
        return encoders.resolve(spec, sources=options.config.encoders, **of_images)


def _common(options: Options) -> dict[str, Any]:
    """Return the options that encoders and LLMs share."""
    return {"l2": options.l2, "standins": options.standins, "allow_pickle": options.allow_pickle}


@contextlib.contextmanager
def _side_told(spec: str, noun: str, option: str, names: Collection[str]) -> Iterator[None]:
    """Say so if a name that is unknown here is that of a model of the other side.

    Args:
        spec: the spec that the body resolves.
        noun: what a model of the other side is.
        option: the option that takes such models, as the user writes it.
        names: their names.

    Raises:
        UnknownNameError: the body found no model of that name.
    """
    try:
        yield
    except UnknownNameError as error:
        name = spec.rpartition("=")[2].strip()
        if name not in names:
            raise
        raise UnknownNameError(f"{name} is {noun}; give it to {option}") from error


def model_named(model: str | M, models: Mapping[str, M], noun: str) -> M:
    """Return a model, which may be given by its name.

    Raises:
        UnknownNameError: no model has this name.
    """
    if not isinstance(model, str):
        return model
    if model not in models:
        raise UnknownNameError(unknown(noun, model, models))
    return models[model]


def _by_name(models: Iterable[M]) -> dict[str, M]:
    """Return the models by the names that the user chose; a stand-in has the name of the missing model."""
    named: dict[str, M] = {}
    for model in models:
        name = model.info.stand_in_for or model.info.name
        if name in named:
            raise ConfigError(
                f"two {model.info.side} models are called {name!r}; "
                f"give one an alias: other-name={model.info.source}"
            )
        named[name] = model
    return named
