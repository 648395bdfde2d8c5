"""Line charts whose texts name only what the image tells."""

from __future__ import annotations

import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from alignbench.datasets.catalog import load_dataset
from alignbench.datasets.synthetic.lines import COMBINATIONS, line_charts
from alignbench.datasets.synthetic.words import COLOURS
from alignbench.errors import ConfigError, DataError

TEXT = re.compile(r"(Two|Three) (dotted )?lines in ([a-z, ]+) in a line chart\.")


def named(text: str) -> list[str]:
    found = TEXT.fullmatch(text)
    assert found is not None, text
    return re.split(", | and ", found[3])


@pytest.mark.slow
def test_a_text_names_the_lines_and_nothing_else() -> None:
    for sample in line_charts(8, seed=5).samples:
        colours = named(sample.texts[0])
        assert sorted(colours, key=tuple(COLOURS).index) == colours
        assert len(colours) == {"Two": 2, "Three": 3}[sample.texts[0].split()[0]]
        assert dict(sample.exchanges)["How many lines are there?"] == f"{len(colours)}."
        assert sorted(re.findall("[a-z]+", sample.exchanges[1][1].lower())) == sorted([*colours, "and"])


@pytest.mark.slow
def test_a_text_is_true_of_its_image() -> None:
    for sample in line_charts(8, seed=5).samples:
        pixels = np.asarray(Image.open(io.BytesIO(sample.image_bytes())).convert("RGB")).reshape(-1, 3)
        counts = {
            name: int((np.abs(pixels.astype(int) - rgb).max(axis=1) < 12).sum())
            for name, rgb in COLOURS.items()
        }
        drawn = {name for name, count in counts.items() if count > 300}
        assert drawn == set(named(sample.texts[0])), counts


@pytest.mark.slow
def test_a_combination_is_a_group_that_recurs_only_after_all_others() -> None:
    assert Counter((layout, len(colours)) for layout, colours in COMBINATIONS) == {
        (layout, number): count for layout in ("plain", "dotted") for number, count in ((2, 36), (3, 84))
    }
    samples = line_charts(242, seed=1).samples
    assert len({sample.group for sample in samples[:240]}) == 240
    assert [sample.group for sample in samples[240:]] == [sample.group for sample in samples[:2]]
    assert len({sample.image_bytes() for sample in samples}) == 242


@pytest.mark.slow
def test_seeds_select_other_charts_and_the_same_seed_the_same() -> None:
    first, again, other = (line_charts(3, seed).samples for seed in (1, 1, 2))
    assert first == again
    assert {sample.group for sample in first} != {sample.group for sample in other}
    assert line_charts(5, 1).samples[:3] == first


@pytest.mark.slow
def test_it_is_a_named_dataset_of_charts() -> None:
    data = load_dataset("synthetic_lines", n_per_type=4, seed=3)
    assert (data.name, data.data_types, len(data.samples)) == ("synthetic-lines-3", ("chart",), 4)
    assert data.samples == load_dataset("synthetic_lines", n_per_type=4, types=["chart"], seed=3).samples
    with pytest.raises(DataError, match="it has chart only, got table"):
        load_dataset("synthetic_lines", types=["table"])
    with pytest.raises(ConfigError, match="needs no data root"):
        load_dataset("synthetic_lines", root="x")
