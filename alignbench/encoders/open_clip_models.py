"""open_clip's models: the projected embedding, patches, and the text tower."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from alignbench.encoders.preprocess import TransformPrepare
from alignbench.encoders.tower import Features, Tower
from alignbench.errors import LayersMissingError, ModelError
from alignbench.weights.loading import one_line, place, read_pickle, torch_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from alignbench.encoders.base import Options
    from alignbench.weights.precision import Precision
    from alignbench.weights.source import Located


class OpenClipTower(Tower):
    """A model of open_clip.

    Args:
        model: in evaluation mode, on its device.
        name: as open_clip knows it, or `local-dir:<folder>`; names the tokenizer, too.
        prepare: image -> pixels.
        device: where the texts go.
    """

    has_text = True

    def __init__(self, model: Any, name: str, prepare: TransformPrepare, device: str) -> None:
        super().__init__(prepare, special=0)
        self.model = model
        self._name = name
        self._device = device

    def features(self, pixels: Tensor, layer: int | None) -> Features:
        """Return the patches of the last or another block, and the projected embedding."""
        visual = self.model.visual
        if not hasattr(visual, "forward_intermediates"):
            if layer is not None:
                raise ModelError(f"{self._name}: this architecture of open_clip gives no hidden layers")
            projected = visual(pixels)
            return Features(projected.unsqueeze(1), projected=projected)
        out = visual.forward_intermediates(pixels, output_fmt="NLC")
        return Features(
            block_state(out["image_intermediates"], -1 if layer is None else layer),
            projected=out["image_features"] if layer is None else None,
        )

    def hidden_states(self, pixels: Tensor) -> tuple[Sequence[Tensor], Features]:
        """Return the patches after each block, and the end; there is no layer 0."""
        if not hasattr(self.model.visual, "forward_intermediates"):
            raise LayersMissingError(f"{self._name}: this architecture of open_clip gives no hidden layers")
        states: Sequence[Tensor] = self.model.visual.forward_intermediates(pixels, output_fmt="NLC")[
            "image_intermediates"
        ]
        return states, Features(states[-1])

    def texts(self, texts: list[str]) -> Tensor:
        """Return the projected embedding of each text."""
        embeds: Tensor = self.model.encode_text(self._tokenizer(texts).to(self._device))
        return embeds

    @cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        try:
            return open_clip.get_tokenizer(self._name)
        except (OSError, ValueError) as error:
            raise ModelError(f"{self._name}: its tokenizer can't be had ({one_line(error)})") from error


def block_state(states: list[Tensor], layer: int) -> Tensor:
    """Return the output of a block: 1 is the first, -1 the last; the libraries give no layer 0.

    Raises:
        ModelError: there is no such layer.
    """
    if layer == 0 or not -len(states) <= layer <= len(states):
        raise ModelError(f"layer {layer}: this model has layers 1 to {len(states)}, or -1 to {-len(states)}")
    return states[layer - 1 if layer > 0 else layer]


def load(
    located: Located, config: Mapping[str, Any], options: Options, device: str, precision: Precision
) -> OpenClipTower:
    """Load a model of open_clip from a folder with open_clip_config.json, or by its name and a file.

    Raises:
        ModelError: open_clip can't build it, or the checkpoint lacks weights of it.
    """
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    name = str(config.get("open_clip_model") or f"local-dir:{located.path}")
    for path in located.weights:
        if path.suffix != ".safetensors":
            read_pickle(path)  # raises where it holds more than tensors, in our words
    settings = open_clip.get_pretrained_cfg(name, str(config.get("open_clip_tag", "")))
    try:
        model = open_clip.create_model(
            name,
            pretrained=None if name.startswith("local-dir:") else str(located.weights[0]),
            force_quick_gelu=bool(settings.get("quick_gelu", False)),
            force_preprocess_cfg={key: settings[key] for key in _PREPROCESSING if key in settings},
            pretrained_text=False,
            weights_only=True,
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{located.source}: open_clip can't load it ({one_line(error)})") from error
    how = model.visual.preprocess_cfg
    size = how["size"] if isinstance(how["size"], tuple | list) else (how["size"], how["size"])
    prepare = TransformPrepare(
        image_transform_v2(PreprocessCfg(**how), is_train=False),
        options.fit,
        (int(size[0]), int(size[1])),
        how["mean"],
        how["std"],
    )
    model = place(model.eval().to(torch_dtype(precision.weights)), device)
    return OpenClipTower(model, name, prepare, device)


_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
