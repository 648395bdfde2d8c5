"""What the adapters need from the networks that transformers, open_clip and timm build."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from alignbench.weights.protocols import Network, has

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor
    from torch.nn import Module


class ChoosesAttention(Protocol):
    """A transformers model, which can compute attention in several ways."""

    config: Any

    def set_attn_implementation(self, attn_implementation: str, /) -> object:
        """Compute attention that way from now on."""


class TellsAttention(Protocol):
    """Takes pixels, and returns the attention of its layers if that is requested."""

    def __call__(self, pixels: Tensor, /, *, output_attentions: bool) -> Any:
        """Return `attentions`, and whatever else it has."""


class ClipVision(Network, ChoosesAttention, Protocol):
    """CLIPVisionModelWithProjection: a transformer, and the projection into the space of the texts."""

    vision_model: ClipTransformer
    visual_projection: Callable[[Tensor], Tensor]


class ClipTransformer(Protocol):
    """The transformer of a CLIP."""

    encoder: ClipLayers
    post_layernorm: Callable[[Tensor], Tensor]

    def __call__(
        self, pixels: Tensor, /, *, output_hidden_states: bool = False, output_attentions: bool = False
    ) -> Any:
        """Return `last_hidden_state`, `pooler_output`, and `hidden_states` or `attentions` if requested."""


class ClipLayers(Protocol):
    """The layers of a CLIP's transformer, one after another."""

    layers: Sequence[ClipLayer]


class ClipLayer(Protocol):
    """One layer: a norm, attention, and what the value path needs of them."""

    layer_norm1: Callable[[Tensor], Tensor]
    self_attn: ClipAttention


class ClipAttention(Protocol):
    """The attention of a layer, as far as its value path goes."""

    v_proj: Callable[[Tensor], Tensor]
    out_proj: Callable[[Tensor], Tensor]


class SiglipVision(Network, Protocol):
    """SiglipVisionModel with its pooling head."""

    config: Any
    head: PoolingHead

    def __call__(self, pixels: Tensor, /, *, output_hidden_states: bool = False) -> Any:
        """Return `last_hidden_state`, `pooler_output`, and `hidden_states` if requested."""


class NaFlexVision(Network, Protocol):
    """Siglip2VisionModel with its pooling head."""

    config: Any
    head: PoolingHead

    def __call__(
        self,
        *,
        pixel_values: Tensor,
        pixel_attention_mask: Tensor,
        spatial_shapes: Tensor,
        output_hidden_states: bool,
    ) -> Any:
        """Return `last_hidden_state`, `pooler_output`, and `hidden_states` if requested."""


class PoolingHead(Protocol):
    """An attention layer from one learnt query to all patches."""

    probe: Tensor
    attention: Callable[..., Sequence[Tensor]]

    def __call__(self, tokens: Tensor, /) -> Tensor:
        """Return one vector per sequence of tokens."""


class HasParts(Protocol):
    """A network whose parts can be inspected."""

    def modules(self) -> Iterator[Module]:
        """Return all parts."""


class AnyVision(Network, ChoosesAttention, HasParts, Protocol):
    """A model of transformers that takes pixels."""

    forward: Callable[..., object]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Return the weights with their names."""

    def __call__(self, *, pixel_values: Tensor, return_dict: bool, **how: Any) -> Any:
        """Return `last_hidden_state`, and whatever else it has."""


class OpenClipVision(Protocol):
    """The vision side of a model of open_clip."""

    preprocess_cfg: Mapping[str, Any]

    def __call__(self, pixels: Tensor, /) -> Tensor:
        """Return images in the shared space."""


class OpenClipModel(Network, Protocol):
    """A model of open_clip; `visual` is its vision side, from images to the shared space."""

    visual: OpenClipVision

    def encode_text(self, tokens: Tensor, /) -> Tensor:
        """Return texts in the shared space."""


class TimmModel(Network, HasParts, Protocol):
    """A model of timm."""

    num_features: int

    def forward_features(self, pixels: Tensor, /) -> Tensor:
        """Return tokens, or a feature map."""

    def forward_head(self, features: Tensor, /, *, pre_logits: bool) -> Tensor:
        """Return the pooled embedding."""


class GivesIntermediates(Protocol):
    """Returns the state after each block; most architectures of timm and open_clip can."""

    def forward_intermediates(self, pixels: Tensor, /, **how: Any) -> Any:
        """Return the states."""


def gives_intermediates(network: object) -> TypeGuard[GivesIntermediates]:
    """Whether the network returns the state after each block."""
    return has(network, GivesIntermediates)
