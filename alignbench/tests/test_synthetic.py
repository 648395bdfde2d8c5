"""The drawings: fixed by seed, apart by seed, and served as a dataset."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from alignbench.datasets.synthetic import (
    HELD_OUT_SEED,
    KINDS,
    SAMPLE_DATA_SEED,
    SHAPES,
    TRAINING_SEED,
    TYPES,
    Synthetic,
)
from alignbench.errors import InputError, UnknownNameError


def pixels_of(source: Synthetic, data_type: str, index: int) -> np.ndarray:
    return np.asarray(source.drawing(data_type, index).image)


@pytest.mark.parametrize("data_type", KINDS)
def test_a_seed_fixes_pixels_boxes_and_texts(data_type):
    one, two = Synthetic(5, (data_type,)), Synthetic(5, (data_type,))
    assert np.array_equal(pixels_of(one, data_type, 3), pixels_of(two, data_type, 3))
    assert one.drawing(data_type, 3).boxes == two.drawing(data_type, 3).boxes
    assert one.description(data_type, 3) == two.description(data_type, 3)


@pytest.mark.parametrize("data_type", KINDS)
def test_another_seed_or_index_is_another_drawing(data_type):
    first = Synthetic(5, (data_type,)).spec(data_type, 3)
    assert first != Synthetic(6, (data_type,)).spec(data_type, 3)
    assert first != Synthetic(5, (data_type,)).spec(data_type, 4)


@pytest.mark.slow
def test_a_sample_does_not_depend_on_what_else_is_asked_for():
    few = {sample.id: sample for sample in Synthetic(9, ("table",)).dataset(2).samples}
    many = {sample.id: sample for sample in Synthetic(9, ("document", "table")).dataset(4).samples}
    for name, sample in few.items():
        assert many[name].image == sample.image
        assert many[name].texts == sample.texts


def test_drawing_leaves_the_global_random_state_alone():
    import random

    random.seed(1)
    before = random.getstate()
    Synthetic(1).dataset(1)
    assert random.getstate() == before


@pytest.mark.parametrize("data_type", TYPES)
def test_sample_data_held_out_and_training_share_no_drawing(data_type):
    streams = [
        {repr(Synthetic(seed).spec(data_type, i)) for i in range(400)}
        for seed in (SAMPLE_DATA_SEED, HELD_OUT_SEED, TRAINING_SEED)
    ]
    assert len(set.union(*streams)) == 3 * 400


def test_dataset_has_stable_ids_types_groups_and_png_bytes():
    dataset = Synthetic(4, ("chart", "shapes")).dataset(3)
    assert [sample.id for sample in dataset.samples] == [
        *(f"chart-4-{i}" for i in range(3)),
        *(f"shapes-4-{i}" for i in range(3)),
    ]
    assert dataset.data_types == ("chart", "shapes")
    assert len({sample.group for sample in dataset.samples}) == 6
    for sample in dataset.samples:
        image = Image.open(io.BytesIO(sample.image_bytes()))
        assert image.format == "PNG"
        assert max(image.size) == 448


@pytest.mark.slow
def test_shape_categories_are_data_types_of_their_own():
    dataset = Synthetic(0, SHAPES).dataset(2)
    assert dataset.data_types == SHAPES
    assert all(sample.data_type in sample.texts[0] for sample in dataset.samples)


@pytest.mark.parametrize("data_type", TYPES)
def test_no_two_samples_share_a_text(data_type):
    texts = [text for sample in range(300) for text in Synthetic(3).description(data_type, sample).wordings]
    assert len(set(texts)) == len(texts)


def test_chart_kinds_are_about_equally_frequent():
    kinds = Counter(Synthetic(3).description("chart", i).kind for i in range(400))
    assert set(kinds) == {"bar", "line", "pie", "scatter"}
    assert min(kinds.values()) > 70


@pytest.mark.parametrize("size", [16, 112, 448, 900])
def test_size_is_the_longer_side_and_boxes_scale_with_it(size):
    for data_type in TYPES:
        drawing = Synthetic(2, size=size).drawing(data_type, 0)
        full = Synthetic(2).drawing(data_type, 0)
        assert max(drawing.image.size) == size
        assert drawing.boxes[0].right == pytest.approx(full.boxes[0].right * size / 448)


@pytest.mark.parametrize("data_type", TYPES)
def test_a_smoother_drawing_shows_the_same(data_type):
    rough, smooth, other = (
        np.asarray(Synthetic(2, smooth=smooth).drawing(data_type, i).image.resize((56, 56)), dtype=float)
        for smooth, i in ((1, 1), (2, 1), (2, 2))
    )
    assert np.abs(rough - smooth).mean() < 4
    assert np.abs(rough - other).mean() > 8


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": True}, "seed"),
        ({"size": 15}, "size"),
        ({"size": 100_000}, "size"),
        ({"size": "448"}, "size"),
        ({"smooth": 0}, "smooth"),
        ({"smooth": 9}, "smooth"),
        ({"types": ()}, "types"),
        ({"types": ("chart", "chart")}, "types"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(arguments, word):
    with pytest.raises(InputError, match=rf"^{word}: expected"):
        Synthetic(**arguments)


def test_an_unknown_type_is_answered_with_the_closest():
    with pytest.raises(UnknownNameError, match="Did you mean 'chart'"):
        Synthetic(0, ("charts",))


@pytest.mark.parametrize("n", [0, -3, 2.0, None, True])
def test_a_dataset_of_no_whole_number_is_refused(n):
    with pytest.raises(InputError, match="n_per_type"):
        Synthetic(0).dataset(n)


@pytest.mark.slow
def test_drawing_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys; from alignbench.datasets.synthetic import Synthetic; Synthetic().dataset(1); "
        "print([m for m in ('torch', 'transformers', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
