"""Foreign checkpoints: each tensor gets its place by name, or by shape and order, or the file is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import ModelError
from alignbench.weights.convert import ELSEWHERE, HEAD, UNUSED, KeyMapping, convert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEADS = ("head.weight", "head.bias")


def network(blocks: int = 12, width: int = 4) -> dict[str, np.ndarray]:
    """Return a small network's tensors, each of other numbers, in the order in which it is constructed."""
    shapes: dict[str, tuple[int, ...]] = {"stem.weight": (width, 3, 2, 2)}
    for i in range(blocks):
        shapes |= {
            f"blocks.{i}.norm.weight": (width,),
            f"blocks.{i}.norm.bias": (width,),
            f"blocks.{i}.norm.running_mean": (width,),
            f"blocks.{i}.norm.running_var": (width,),
            f"blocks.{i}.norm.num_batches_tracked": (),
            f"blocks.{i}.fc1.weight": (2 * width, width),
            f"blocks.{i}.fc2.weight": (width, 2 * width),
        }
    shapes |= {"head.weight": (7, width), "head.bias": (7,)}
    return {key: np.full(shape, i, dtype=np.float32) for i, (key, shape) in enumerate(shapes.items())}


def foreign(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors under the names of another library, in the same order."""
    words = {"blocks": "layer", "norm": "bn", "fc1": "up", "fc2": "down", "stem": "patch", "head": "_fc"}
    return {
        ".".join(words.get(part, part) for part in key.split(".")): value for key, value in tensors.items()
    }


def placed(found: KeyMapping, theirs: Mapping[str, np.ndarray], own: Mapping[str, np.ndarray]) -> set[str]:
    """Return how the tensors were found, after a check that each of them is in its own place."""
    applied = found.applied(theirs)
    assert all(np.array_equal(value, own[key]) for key, value in applied.items())
    assert [key for key in own if key in applied] == list(applied)
    assert {key for key in own if "tracked" not in key} - set(applied) <= set(HEADS)
    assert {place.source for place in found.placements} | set(found.left_out) == set(theirs)
    return {place.how for place in found.placements}


def reordered(tensors: Mapping[str, np.ndarray], keys: Iterable[str]) -> dict[str, np.ndarray]:
    return {key: tensors[key] for key in keys}


def test_own_names_are_found_in_any_order_and_behind_any_prefix() -> None:
    own = network()
    assert placed(convert(own, own, heads=HEADS), own, own) == {"name"}
    mixed = reordered(own, sorted(own, key=lambda key: key[::-1]))
    assert placed(convert(mixed, own, heads=HEADS), mixed, own) == {"name"}
    nested = {"epoch": np.zeros(()), **{f"state_dict.module.{key}": value for key, value in mixed.items()}}
    found = convert(nested, own, heads=HEADS)
    assert placed(found, nested, own) == {"name"}
    assert found.prefix == "state_dict.module."
    assert found.left_out["epoch"] == ELSEWHERE


def test_other_names_are_placed_by_shape_and_order() -> None:
    own = network()
    theirs = foreign(own)
    found = convert(theirs, own, heads=HEADS)
    assert placed(found, theirs, own) == {"shape", "shape and order"}
    assert found.left_out == {key: UNUSED for key in theirs if "tracked" in key}
    nested = {f"teacher.backbone.{key}": value for key, value in theirs.items()}
    nested |= {"teacher.projector.weight": np.zeros((9, 9)), "optimizer.exp_avg": np.zeros((4,))}
    found = convert(nested, own, heads=HEADS)
    assert placed(found, nested, own) == {"shape", "shape and order"}
    assert found.left_out["teacher.projector.weight"] == ELSEWHERE


def test_other_libraries_may_list_statistics_after_all_weights() -> None:
    own = network()
    theirs = foreign(own)
    last = [key for key in theirs if "running" in key or "tracked" in key]
    listed = reordered(theirs, [*(key for key in theirs if key not in last), *last])
    assert "shape and order" in placed(convert(listed, own, heads=HEADS), listed, own)


def test_roles_tell_tensors_of_one_shape_apart() -> None:
    own = network()
    words = {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    theirs = foreign(own)
    renamed = {
        f"{key.rpartition('.')[0]}.{words.get(key.rpartition('.')[2], 'steps')}"
        if ".bn." in key
        else key: value
        for key, value in theirs.items()
        if "tracked" not in key
    }
    # Another library lists the statistics, and the bias, first.
    blocks = [key for key in renamed if ".bn." in key]
    first = [key for i in range(0, len(blocks), 4) for key in reversed(blocks[i : i + 4])]
    turned = iter(first)
    listed = [next(turned) if ".bn." in key else key for key in renamed]
    mixed = reordered(renamed, listed)
    assert "shape and order" in placed(convert(mixed, own, heads=HEADS), mixed, own)


def test_a_tensor_that_is_needed_may_have_a_classifiers_name() -> None:
    own = {"stem.weight": np.zeros((4, 3)), "norm.weight": np.zeros(4), "out.weight": np.zeros((7, 4))}
    theirs = {
        "patch.weight": np.zeros((4, 3)),
        "head.norm.weight": np.zeros(4),
        "head.fc.weight": np.zeros((7, 4)),
    }
    found = convert(theirs, own, heads=("out.weight",))
    assert {place.source: place.target for place in found.placements} == dict(zip(theirs, own, strict=True))


def test_a_classifier_of_other_classes_is_left_out_by_name() -> None:
    own = network()
    for theirs, names in ((own, HEADS), (foreign(own), ("_fc.weight", "_fc.bias"))):
        other = {**theirs, names[0]: np.zeros((5, 4)), names[1]: np.zeros(5)}
        found = convert(other, own, heads=HEADS)
        assert [key for key, why in found.left_out.items() if why == HEAD] == list(names)
        without = {key: value for key, value in theirs.items() if key not in names}
        assert len(convert(without, own, heads=HEADS).placements) == len(found.placements)
        renamed = {
            ("out" + key[len(key.rpartition(".")[0]) :] if key in names else key): theirs[key]
            for key in theirs
        }
        if names != HEADS:  # foreign names, and the classifier's is an unusual one, too
            assert placed(convert(renamed, own, heads=HEADS), renamed, own) == {"shape", "shape and order"}
    with pytest.raises(ModelError, match=r"2 missing: head\.weight \(7, 4\), head\.bias \(7,\)"):
        convert({key: value for key, value in own.items() if key not in HEADS}, own)


@pytest.mark.parametrize("names", ["own", "foreign"])
def test_what_is_missing_superfluous_or_of_another_shape_is_named(names: str) -> None:
    own = network()
    theirs = own if names == "own" else foreign(own)
    fc1 = next(key for key in theirs if key.endswith(("3.fc1.weight", "3.up.weight")))
    heads = [key for key in theirs if key.startswith(("head", "_fc"))]
    lacking = {key: value for key, value in theirs.items() if key != fc1}
    with pytest.raises(ModelError, match=r"FILE: 1 missing: blocks\.\d+\.fc1\.weight \(8, 4\)"):
        convert(lacking, own, heads=HEADS, where="FILE")
    with pytest.raises(ModelError, match=r"1 superfluous: layers\.bias \(4,\)"):
        convert({**theirs, "layers.bias": np.zeros(4)}, own, heads=HEADS)
    with pytest.raises(ModelError, match=r"\(8, 5\)"):
        convert({**theirs, fc1: np.zeros((8, 5))}, own, heads=HEADS)
    # A layer inside a block is no classifier, whatever its name.
    with pytest.raises(ModelError, match=r"1 superfluous: blocks\.3\.fc\.weight"):
        convert({**theirs, "blocks.3.fc.weight": np.zeros((7, 4))}, own, heads=HEADS)
    headless = {key: value for key, value in theirs.items() if key not in heads}
    with pytest.raises(ModelError, match=r"1 superfluous: blocks\.3\.fc\.weight"):
        convert({**headless, "blocks.3.fc.weight": np.zeros((7, 4))}, own, heads=HEADS)


def test_weights_under_two_prefixes_are_a_choice_that_the_user_makes() -> None:
    own = network()
    ema = {key: value + 100 for key, value in own.items()}
    both = {f"model.{key}": value for key, value in own.items()}
    both |= {f"model_ema.{key}": value for key, value in ema.items()}
    with pytest.raises(ModelError, match=r"each of 'model\.', 'model_ema\.' fit; choose one with --prefix"):
        convert(both, own, heads=HEADS)
    for prefix in ("model_ema", "model_ema."):
        found = convert(both, own, heads=HEADS, prefix=prefix)
        assert placed(found, both, ema) == {"name"}
    with pytest.raises(
        ModelError, match=r"too few keys begin with 'teacher'.*; some begin with model\., model_ema\."
    ):
        convert(both, own, heads=HEADS, prefix="teacher")


def test_an_order_that_settles_nothing_is_refused() -> None:
    own = network()
    theirs = foreign(own)
    with pytest.raises(ModelError, match=r"the keys are sorted by name .* take the original file"):
        convert(reordered(theirs, sorted(theirs)), own, heads=HEADS)
    swapped = list(theirs)
    swapped[1:8], swapped[8:15] = swapped[8:15], swapped[1:8]
    with pytest.raises(ModelError, match=r"layer\.1\.bn\.weight comes before layer\.0\.bn\.weight"):
        convert(reordered(theirs, swapped), own, heads=HEADS)
    # The two layers of each block are registered the other way round: their norms could be, too.
    turned = [
        key for pair in zip(*[iter(list(theirs)[1:-2])] * 7, strict=True) for key in (pair[6], *pair[:6])
    ]
    with pytest.raises(ModelError, match=r"comes before .*, but .* after"):
        convert(reordered(theirs, ["patch.weight", *turned, "_fc.weight", "_fc.bias"]), own, heads=HEADS)


def test_a_name_that_contradicts_the_order_is_refused() -> None:
    square = {f"layers.{i}.{name}_proj.weight": np.zeros((4, 4)) for i in range(3) for name in "qkv"}
    theirs = {f"encoder.{key.replace('layers.', 'h.')}": value for key, value in square.items()}
    assert {place.how for place in convert(theirs, square).placements} == {"shape and order"}
    for names in ("kvq", "qvk", "bac"):
        wrong = {f"h.{i}.{name}_proj.weight": np.zeros((4, 4)) for i in range(3) for name in names}
        with pytest.raises(ModelError, match=r"h\.0\.[kvb]_proj\.weight or one of its neighbours"):
            convert(wrong, square)
    own = {"a.weight": np.zeros((4, 4)), "b.weight": np.zeros((4, 4)), "c.weight": np.zeros((4, 4))}
    with pytest.raises(ModelError, match=r"b\.weight would become a\.weight, but b\.weight is another one"):
        convert({"b.weight": own["b.weight"], "y.weight": own["a.weight"], "x.weight": own["c.weight"]}, own)


def test_another_model_is_said_to_be_one() -> None:
    with pytest.raises(
        ModelError, match=r"FILE: 1 tensors, and the architecture has \d+; it is another model"
    ):
        convert({"weight": np.zeros(3)}, network(), where="FILE")
