"""The sample data: what is committed is what the command draws."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from alignbench.datasets.synthetic import SAMPLE_DATA_SEED, TYPES, Synthetic
from alignbench.datasets.synthetic.__main__ import main
from alignbench.datasets.synthetic.files import label
from alignbench.paths import sample_data

LIMIT_BYTES = 2_500_000


def lines():
    return [
        json.loads(line) for line in (sample_data() / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def test_there_are_thirty_images_of_each_type():
    for data_type in TYPES:
        names = sorted(path.name for path in (sample_data() / "images" / data_type).iterdir())
        assert names == [f"{data_type}_{i:02d}.png" for i in range(1, 31)]


def test_images_are_small_in_bytes_and_large_enough_to_read():
    paths = list((sample_data() / "images").rglob("*.png"))
    assert sum(path.stat().st_size for path in paths) < LIMIT_BYTES
    for path in paths:
        with Image.open(path) as image:
            assert max(image.size) == 448


@pytest.mark.slow
def test_every_line_is_what_the_command_says_of_its_drawing():
    source = Synthetic(SAMPLE_DATA_SEED)
    expected = []
    for data_type in sorted(TYPES):
        for index in range(30):
            sample = source.sample(data_type, index) if index < 2 else None
            said = source.description(data_type, index)
            expected.append((f"{data_type}_{index + 1:02d}", said, sample))
    found = lines()
    assert [line["id"] for line in found] == [name for name, _, _ in expected]
    for line, (name, said, sample) in zip(found, expected, strict=True):
        assert line["messages"][1]["content"][0]["text"] == said.wordings[0]
        assert tuple(line["wordings"]) == said.wordings[1:]
        assert len(line["messages"]) == 2 + 2 * len(said.exchanges)
        if sample:
            assert line == label(name, sample)


@pytest.mark.parametrize("data_type", TYPES)
@pytest.mark.parametrize("index", [0, 13, 29])
def test_drawing_again_gives_the_committed_pixels(data_type, index):
    committed = Image.open(sample_data() / "images" / data_type / f"{data_type}_{index + 1:02d}.png").convert(
        "RGB"
    )
    again = Image.open(
        io.BytesIO(Synthetic(SAMPLE_DATA_SEED).sample(data_type, index).image_bytes())
    ).convert("RGB")
    assert again.size == committed.size
    # another pillow or FreeType may place an edge differently, but not move or recolour an object
    assert np.abs(np.asarray(again, dtype=float) - np.asarray(committed, dtype=float)).mean() < 1.5


def test_all_texts_of_the_sample_data_differ():
    texts = [
        text for line in lines() for text in (line["messages"][1]["content"][0]["text"], *line["wordings"])
    ]
    assert len(set(texts)) == len(texts) >= 3 * 90


def test_the_committed_palette_keeps_the_named_colours():
    for data_type in TYPES:
        sample, drawing = Synthetic(1).sample(data_type, 5), Synthetic(1).drawing(data_type, 5)
        saved = np.asarray(Image.open(io.BytesIO(sample.image_bytes())).convert("RGB"), dtype=float)
        assert np.abs(saved - np.asarray(drawing.image, dtype=float)).mean() < 2


def test_the_command_writes_a_data_root(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["synthetic", "--out", str(tmp_path / "data"), "--n", "1"])
    main()
    assert "3 drawings" in capsys.readouterr().out
    written = [
        json.loads(line) for line in (tmp_path / "data" / "labels.jsonl").read_text("utf-8").splitlines()
    ]
    for line in written:
        image = line["messages"][0]["content"][1]
        assert image["type"] == "image"
        assert (tmp_path / "data" / "images" / image["image"]).is_file()
