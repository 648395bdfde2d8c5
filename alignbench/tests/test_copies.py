"""Copies among rows: found whatever their type, joined over both sides, and never scored without a word."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from alignbench import assert_aligned, score_arrays
from alignbench.datasets.copies import first_equal, groups_of_rows, repeats
from alignbench.errors import AlignbenchWarning, InputError
from alignbench.findings import FLAGS
from alignbench.types import Embeddings, ModelInfo, Pair
from alignbench.workshop.measure.copies import CAPTIONS, IMAGES, drawn_copies, main

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

X, Y = np.random.default_rng(0).standard_normal((2, 40, 6))
ROWS_OF_IMAGES = np.repeat(np.arange(IMAGES), CAPTIONS)


def naive(arrays: list[NDArray[Any]]) -> list[set[int]]:
    """Merge rows that are equal in some array, again and again, until nothing changes."""
    n = len(arrays[0])
    parts = [{i} for i in range(n)]
    changed = True
    while changed:
        changed = False
        for i in range(n):
            for j in range(n):
                if parts[i] is not parts[j] and any(np.array_equal(a[i], a[j]) for a in arrays):
                    both = parts[i] | parts[j]
                    for row in both:
                        parts[row] = both
                    changed = True
    return parts


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", ">f8", "i1", "u2", "?"])
def test_equal_rows_are_found_in_every_type(kind: str) -> None:
    values = np.array([[0, 1], [1, 0], [0, 1], [1, 1], [1, 0]], dtype=kind)
    assert first_equal(values).tolist() == [0, 1, 0, 3, 1]


def test_zeros_are_equal_whatever_their_sign() -> None:
    assert first_equal(np.array([[0.0, 1], [-0.0, 1], [np.nextafter(0, 1), 1]])).tolist() == [0, 0, 2]


@pytest.mark.parametrize("seed", range(8))
def test_groups_are_the_connected_components_of_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images, texts = (rng.standard_normal((12, 3))[rng.integers(12, size=14)] for _ in range(2))
    images[0], texts[0] = 9, 9  # a row of its own, so that there are two groups at least
    expected = naive([images, texts])
    found = groups_of_rows({"images": images, "texts": texts})
    assert found == tuple(str(min(part)) for part in expected)


def test_without_copies_each_row_is_named_like_its_own_group() -> None:
    assert groups_of_rows({"x": X, "y": Y}) == tuple(map(str, range(40)))
    by_rows = score_arrays(X, Y, groups="rows", metrics=["linear_cka", "mutual_knn"])
    assert by_rows.to_dict() == score_arrays(X, Y, metrics=["linear_cka", "mutual_knn"]).to_dict()


def test_one_group_of_all_rows_is_an_error_that_says_whose_fault_it_is() -> None:
    with pytest.raises(InputError, match=r"all 40 rows.*vision 'vision' has 40, text 'text' has 1\)"):
        score_arrays(X, np.ones((40, 2)), groups="rows")


def test_who_has_given_groups_has_said_which_rows_belong_together() -> None:
    copied = np.repeat(X[:20], 2, axis=0)
    assert repeats(copied, [str(i) for i in range(40)]) == 20
    assert repeats(copied, [str(i // 2) for i in range(40)]) == 0
    assert repeats(copied, ["0", "0", *map(str, range(2, 40))]) == 0
    assert repeats(X, [str(i) for i in range(40)]) == 0


def test_forty_images_with_five_captions_each() -> None:
    x, y = drawn_copies(0)
    with pytest.warns(AlignbenchWarning, match="vision 'vision': 160 of 200 rows.*groups='rows'") as said:
        alone = score_arrays(x, y, metrics=["calibrated_cka", "mutual_knn", "spread"])
    assert len(said) == 1
    assert all("repeated_rows" in score.flags for score in alone.scores)
    assert "repeated_rows" in alone.table()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_rows = score_arrays(x, y, groups="rows", metrics="calibrated_cka").scores[0]
        given = score_arrays(x, y, groups=ROWS_OF_IMAGES, metrics="calibrated_cka").scores[0]
    lost = alone.scores[0]
    assert lost.null is not None
    assert lost.interval is not None
    assert (lost.value or 0) > 0.25 < lost.interval.low + 0.1
    assert lost.null.p == 0.001
    for score in (by_rows, given):
        assert score.n == IMAGES
        assert not score.flags
        assert score.null is not None
        assert score.interval is not None
        assert (score.null.p or 0) > 0.05
        assert score.interval.low < 0 < score.interval.high


def test_copies_on_the_text_side_alone_are_said(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.repeat(Y[:8], 5, axis=0))
    with pytest.warns(AlignbenchWarning, match="text 't': 32 of 40 rows"):
        found = score_arrays({"a": X, "b": X + 1}, tmp_path / "t.npy", metrics="linear_cka")
    assert all("repeated_rows" in score.flags for score in found.scores)


def test_an_assertion_on_copies_warns_and_flags() -> None:
    ids = tuple(map(str, range(40)))
    copied = np.repeat(X[:8], 5, axis=0).astype(np.float32)
    sides = [
        Embeddings(ModelInfo(name, cast("Any", side), "other", "here", "custom"), copied, ids)
        for name, side in (("mine", "vision"), ("llm", "text"))
    ]
    pair = Pair(sides[0], sides[1], labels=("all",) * 40, groups=ids, dataset="toy")
    with pytest.warns(AlignbenchWarning, match="(mine|llm): 32 of 40 rows"):
        score = assert_aligned(pair, "linear_cka", at_least=0.9)
    assert "repeated_rows" in score.flags


def test_the_flag_is_explained() -> None:
    assert "copies" in FLAGS["repeated_rows"].meaning
    assert len({flag.letter for flag in FLAGS.values()}) == len(FLAGS)


@pytest.mark.slow
def test_the_command_writes_its_section_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n", encoding="utf-8")
    for _ in range(2):
        main(["--out", str(page), "--draws", "2"])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Page\n\n<!-- begin copies -->\n## Copied rows")
    assert text.count("## Copied rows") == 1
    assert "Over 2 draws" in text
    assert text.count("repeated_rows") == 3
