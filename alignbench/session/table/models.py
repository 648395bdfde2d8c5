"""Options that choose models and say how they are read."""

from __future__ import annotations

from alignbench.options import Option
from alignbench.session.table.names import Names, of_module


class ModelOptions:
    """The options of the group `models`."""

    encoders = Option[Names](
        help="vision encoders: names, folders, hf:org/name, VLM#vision, VLM#projected, open_clip:, timm:, "
        "npy:file.npy, or alias=spec",
        kind="names",
        group="models",
        metavar="NAME",
        configured="default_encoders",
        flag="--encoders",
    )
    llms = Option[Names](
        help="LLMs: names, folders, hf:org/name, VLM#text, gguf:file.gguf, npy:file.npy, or alias=spec",
        kind="names",
        group="models",
        metavar="NAME",
        configured="default_llms",
        flag="--llms",
        label="LLMs",
    )
    pooling = Option[str | None](
        help="pooling of the encoders: cls, pooler, mean, projected",
        group="models",
        metavar="POOLING",
        choices=of_module("alignbench.encoders.families", "POOLINGS"),
    )
    layer = Option[int | None](
        help="hidden layer of the encoders, from 0; negative from the end",
        kind="integer",
        group="models",
        metavar="I",
    )
    llm_layer = Option[int](
        help="hidden layer of the LLMs; -1 is the last",
        kind="integer",
        group="models",
        metavar="I",
        default=-1,
    )
    fit = Option[str](
        help="how images are fitted to the input size: native, pad or squash",
        group="models",
        metavar="FIT",
        default="native",
        choices=of_module("alignbench.encoders.families", "FITS"),
    )
    l2 = Option[bool](
        help="whether vectors are scaled to unit length",
        flag_help="keep the vectors' lengths (default: unit vectors)",
        kind="switch",
        group="models",
        default=True,
        flag="--align-no-l2",
    )
    quantize = Option[str | None](
        help="load LLMs in 4bit or 8bit (CUDA, extra `quant`)",
        group="models",
        metavar="BITS",
        choices=("4bit", "8bit"),
    )
    standins = Option[bool](
        help="where weights are missing, run the built-in toy model of the family instead",
        kind="switch",
        group="models",
        default=False,
    )
    allow_pickle = Option[bool](
        help="read pickled weights (with weights_only)", kind="switch", group="models", default=False
    )
