"""How large a model is, told by configuration and headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save_file

from alignbench import encoders, llms
from alignbench.tests import tiny_models as tiny
from alignbench.weights import Location
from alignbench.weights.sizes import ModelSize, size_of

if TYPE_CHECKING:
    from pathlib import Path


def weights(folder: Path, **shapes: tuple[int, ...]) -> Location:
    tensors = {name.replace("_at_", "."): np.zeros(shape, np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")
    return Location("x", folder, (folder / "model.safetensors",))


def test_a_classifier_tells_the_width_of_a_network_without_a_configuration(tmp_path: Path) -> None:
    located = weights(
        tmp_path, stem_at_weight=(8, 3, 3, 3), conv_at_weight=(40, 8, 1, 1), head_at_weight=(10, 24)
    )
    assert size_of(located, None, "vision") == ModelSize(8 * 27 + 320 + 240, 24)


def test_without_a_classifier_the_widest_convolution_does(tmp_path: Path) -> None:
    located = weights(tmp_path, stem_at_weight=(8, 3, 3, 3), conv_at_weight=(40, 8, 1, 1))
    assert size_of(located, None, "vision").width == 40


def test_what_is_not_there_yet_is_known_by_its_bytes() -> None:
    assert size_of(Location("x", download=2_000), {"hidden_size": 64}, "text") == ModelSize(1000, 64)


def test_packaged_models_tell_their_sizes_without_torch() -> None:
    packaged: tuple[tuple[Any, int], ...] = (
        (encoders.resolve("mini-clip"), 192),
        (llms.resolve("mini-llama"), 256),
    )
    for model, width in packaged:
        size = model.size()
        assert size.width == width
        assert 2_000_000 < size.parameters < 5_000_000
        assert not model.loaded


def test_a_checkpoint_of_two_sides_has_two_widths(tmp_path: Path) -> None:
    folder = tiny.clip(tmp_path)
    handle: Any = encoders.resolve(str(folder))
    size = handle.size()
    assert size.width == handle.source.config()["vision_config"]["hidden_size"]
