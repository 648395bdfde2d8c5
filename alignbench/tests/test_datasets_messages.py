"""Reading label files in the `messages` format."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from alignbench.datasets import DroppedRow, get_images_and_texts, load_mixed, load_samples
from alignbench.datasets.records import lines
from alignbench.errors import DataError, InputError, UnknownNameError
from alignbench.tests.data_files import (
    GOOD,
    IMAGES,
    charts_and_tables,
    encoded,
    line,
    load_with,
    make_root,
    png,
    png_that_claims,
    the_reason,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_becomes_a_sample(tmp_path: Path) -> None:
    row = line(
        "chart/good.png",
        "가장 높은 값은 95.6입니다.",
        question="이 차트에서 가장 높은 값은?",
        id="c1",
        wordings=["최고값: 95.6"],
        more=[("type?", "a chart"), ("kind?", "bar")],
    )
    (sample,) = load_with(tmp_path, row).samples
    assert sample.id == "c1"
    assert sample.data_type == "chart"
    assert sample.question == "이 차트에서 가장 높은 값은?"
    assert set(sample.texts) == {"가장 높은 값은 95.6입니다.", "최고값: 95.6"}
    assert sample.exchanges == (("type?", "a chart"), ("kind?", "bar"))
    assert sample.image_bytes() == IMAGES["chart/good.png"]


def test_plain_string_contents_and_system_messages_are_understood(tmp_path: Path) -> None:
    row = {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "image", "image": "chart/good.png"}]},
            {"role": "user", "content": "what?"},
            {"role": "assistant", "content": "a chart"},
        ]
    }
    (sample,) = load_with(tmp_path, json.dumps(row)).samples
    assert (sample.question, sample.texts) == ("what?", ("a chart",))


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(lambda rows: codecs.BOM_UTF8 + b"\n".join(rows), id="bom"),
        pytest.param(lambda rows: b"\r\n".join(rows) + b"\r\n", id="crlf"),
        pytest.param(lambda rows: b"\n\n  \n\t\r\n" + b"\n\n".join(rows) + b"\n \n", id="blank lines"),
        pytest.param(lambda rows: codecs.BOM_UTF8 + b"\r\n" + b"\n".join(rows), id="bom alone on its line"),
    ],
)
def test_harmless_ways_to_write_a_file_drop_nothing(tmp_path: Path, around: Any) -> None:
    rows = [line(f"chart/{name}.png", f"{name} 값", id=name).encode() for name in ("good", "other")]
    make_root(tmp_path, [], IMAGES)
    (tmp_path / "labels.jsonl").write_bytes(around(rows))
    dataset = load_mixed(None, root=tmp_path)
    assert [sample.id for sample in dataset.samples] == ["good", "other"]
    assert dataset.dropped == ()


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    (sample,) = load_with(tmp_path, line("chart/good.png", "one\u2028two\x85three")).samples
    assert sample.text == "one\u2028two\x85three"


def test_utf_16_is_refused_by_name(tmp_path: Path) -> None:
    make_root(tmp_path, [], IMAGES)
    (tmp_path / "labels.jsonl").write_text(GOOD, encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16; expected UTF-8"):
        load_mixed(None, root=tmp_path)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param("{not json", "not JSON", id="no json"),
        pytest.param("[" * 100_000, "not JSON", id="nested without end"),
        pytest.param("1" * 5000, "not JSON", id="a number of 5000 digits"),
        pytest.param(b'{"messages": "\xff"}', "not UTF-8: byte 0xff at position 15", id="invalid utf-8"),
        pytest.param("[1, 2]", "expected an object with a list of 'messages'", id="no object"),
        pytest.param('{"messages": 3}', "expected an object with a list of 'messages'", id="no messages"),
        pytest.param('{"messages": [3]}', "a message is not an object", id="no message"),
        pytest.param(
            '{"messages": [{"role": "user", "content": 3}]}', "neither a text nor a list", id="no content"
        ),
        pytest.param(line(None), "expected one image, got 0", id="no image"),
        pytest.param(line("chart/other.png", None), "no answer at or after its image", id="no answer"),
        pytest.param(line("chart/other.png", "  \n"), "no answer at or after its image", id="a blank answer"),
        pytest.param(line("other.png"), "no such file", id="no type folder"),
        pytest.param(
            line("ch\x1b[31mart/x.png"), "can't be the name of a data type", id="escapes in the type"
        ),
        pytest.param(line("chart/other.png", id="a" * 201), "at most 200 characters", id="an id of 201"),
        pytest.param(
            '{"id": {}, ' + line("chart/other.png")[1:], "expected an 'id'", id="an id that is an object"
        ),
        pytest.param(
            line("chart/other.png").replace("an answer", "\\ud800"), "surrogate", id="half a character"
        ),
        pytest.param(
            '{"messages": [{"role": "user", "content": [{"type": "image", "image": 3}]}]}',
            "expected the name of a file",
            id="an image that is no name",
        ),
        pytest.param(
            line("chart/other.png")[:-1] + ', "wordings": "one"}',
            "not a list of texts",
            id="wordings of no list",
        ),
        pytest.param(line("chart/missing.png"), "no such file", id="no such image"),
        pytest.param(line("chart/../../secret.png"), r"'\.\.' in the path", id="out by dots"),
        pytest.param(line("chart\\..\\..\\secret.png"), r"'\.\.' in the path", id="out by windows dots"),
        pytest.param(line("chart/a\\..\\..\\secret.png"), r"'\.\.' in the path", id="out by mixed dots"),
        pytest.param(line("/etc/hostname"), "absolute", id="absolute"),
        pytest.param(line("C:\\windows/x.png"), "absolute", id="absolute on windows"),
        pytest.param(line("http://example.com/x.png"), "a URL; download", id="a url"),
        pytest.param(line("chart/a\0b.png"), "not a file name", id="a nul"),
        pytest.param(line("chart/" + "x" * 5000), "no such file", id="a name of 5000"),
        pytest.param(line("chart"), "not a regular file", id="a folder"),
        pytest.param(line("chart/."), "not a regular file", id="the folder itself"),
    ],
)
def test_a_bad_line_is_reported_with_its_number_and_costs_nothing_else(
    tmp_path: Path, bad: str | bytes, reason: str
) -> None:
    dataset = load_with(tmp_path, "", bad, GOOD)
    assert re.search(reason, the_reason(dataset)), the_reason(dataset)
    assert dataset.dropped[0].where == "labels.jsonl:2"
    assert "\n" not in dataset.dropped[0].reason
    assert dataset.dropped[0].reason.isprintable()
    assert len(dataset.dropped[0].reason) < 500


def test_ids_cannot_command_a_terminal(tmp_path: Path) -> None:
    named = line("chart/good.png", "one", id="a\x1b[2Jb")
    unnamed = line("chart/b\x07.png", "two")
    dataset = load_with(tmp_path, named, unnamed, images={**IMAGES, "chart/b\x07.png": png()})
    assert [sample.id for sample in dataset.samples] == ["a\ufffd[2Jb", "chart/b\ufffd.png"]


def test_two_images_in_a_row_are_not_guessed_between(tmp_path: Path) -> None:
    row = json.loads(line("chart/other.png"))
    row["messages"][0]["content"].append({"type": "image", "image": "chart/good.png"})
    assert the_reason(load_with(tmp_path, json.dumps(row), GOOD)) == "expected one image, got 2"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"<svg/>", "not one of PNG", id="svg"),
        pytest.param(encoded(Image.new("L", (4, 4)), "GIF")[:20], "truncated", id="half a gif"),
        pytest.param(png_that_claims(50_000, 50_000), "pixels", id="bomb"),
        pytest.param(png((1, 1, 1), (64, 64))[:-30], "truncated", id="truncated"),
    ],
)
def test_an_image_that_cannot_be_used_drops_its_row(tmp_path: Path, content: bytes, reason: str) -> None:
    dataset = load_with(tmp_path, line("chart/bad.png"), GOOD, images={**IMAGES, "chart/bad.png": content})
    assert reason in the_reason(dataset)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(png((9, 9, 9)))
    root = make_root(tmp_path / "root", [line("chart/out.png"), line("chart/in.png", id="in")], IMAGES)
    (root / "images/chart/out.png").symlink_to(outside)
    (root / "images/chart/in.png").symlink_to(root / "images/chart/good.png")
    dataset = load_mixed(None, root=root)
    assert [sample.id for sample in dataset.samples] == ["in"]
    assert "leads out of the image root" in dataset.dropped[0].reason


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_linked_folder_that_leads_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.png").write_bytes(png((9, 9, 9)))
    root = make_root(tmp_path / "root", [line("table/x.png"), GOOD], IMAGES)
    (root / "images/table").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(DataError, match="leads out of the image root"):
        load_samples("table", root=root)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_to_itself_is_a_reported_row(tmp_path: Path) -> None:
    root = make_root(tmp_path, [line("chart/loop.png"), GOOD], IMAGES)
    (root / "images/chart/loop.png").symlink_to(root / "images/chart/loop.png")
    assert the_reason(load_mixed(None, root=root))


@pytest.mark.slow
def test_a_line_above_the_cap_is_reported_and_never_held_in_memory(tmp_path: Path) -> None:
    make_root(tmp_path, [], IMAGES)
    with (tmp_path / "labels.jsonl").open("wb") as stream:
        stream.write(b'{"messages": "')
        for _ in range(100):
            stream.write(b"x" * 2**20)
        stream.write(b'"}\n' + GOOD.encode())
    tracemalloc.start()
    dataset = load_mixed(None, root=tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert the_reason(dataset) == "a line of 104,857,617 bytes; at most 4,194,304 are read"
    assert dataset.dropped[0].where == "labels.jsonl:1"
    assert peak < 16 * 2**20


def test_the_cap_counts_to_the_byte(tmp_path: Path) -> None:
    file = make_root(tmp_path, ["abc", "abcd", "ab"], {}) / "labels.jsonl"
    assert list(lines(file, max_bytes=4)) == [(1, b"abc"), (2, b"abcd"), (3, b"ab")]
    first, second, third = lines(file, max_bytes=3)
    assert (first, third) == ((1, b"abc"), (3, b"ab"))
    assert isinstance(second, DroppedRow)
    assert second.reason == "a line of 5 bytes; at most 3 are read"


def test_nothing_usable_is_an_error_with_the_first_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable row in .*labels\.jsonl:1: not JSON"):
        load_with(tmp_path, "{", "{")


def test_a_type_that_was_asked_for_and_has_no_usable_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no usable row of type 'table'.*labels\.jsonl:2: image 'table/x\.png'"
    ):
        load_with(tmp_path, GOOD, line("table/x.png"), types=["chart", "table"])


def test_a_type_that_a_stray_line_made_up_does_not_stop_the_others(tmp_path: Path) -> None:
    assert "no such file" in the_reason(load_with(tmp_path, GOOD, line("tabel/x.png")))


def test_an_unknown_type_is_answered_with_what_there_is(tmp_path: Path) -> None:
    root = charts_and_tables(tmp_path)
    with pytest.raises(UnknownNameError, match=r"'tabel'\. Did you mean 'table'\? Known: chart, table"):
        load_samples("tabel", root=root)


@pytest.mark.parametrize(
    ("field", "texts"),
    [("answer", {"one", "two"}), ("question", {"why?"}), ("both", {"why?\none", "why?\ntwo"})],
)
def test_the_text_field_says_what_is_paired(tmp_path: Path, field: Any, texts: set[str]) -> None:
    row = line("chart/good.png", "one", question="why?", wordings=["two"])
    (sample,) = load_with(tmp_path, row, text_field=field).samples
    assert set(sample.texts) == texts


def test_a_row_without_a_question_is_dropped_where_questions_are_asked_for(tmp_path: Path) -> None:
    silent = line("chart/other.png", "an answer", question="")
    reason = the_reason(load_with(tmp_path, silent, GOOD, text_field="both"))
    assert reason == "no question or no answer at or after its image"


def test_options_that_cannot_be_are_errors(tmp_path: Path) -> None:
    root = charts_and_tables(tmp_path)
    with pytest.raises(InputError, match=r"'answr'\. Did you mean 'answer'"):
        load_mixed(2, root=root, text_field="answr")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown wordings 'some'"):
        load_mixed(2, root=root, wordings="some")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 1"):
        load_mixed(0, root=root)
    with pytest.raises(InputError, match="at least one data type"):
        load_mixed(1, [], root=root)


def test_images_and_texts_come_in_order(tmp_path: Path) -> None:
    dataset = load_mixed(3, root=charts_and_tables(tmp_path))
    images, texts = get_images_and_texts(dataset.samples)
    assert [image.getpixel((0, 0)) for image in images] == [
        Image.open(io.BytesIO(sample.image_bytes())).getpixel((0, 0)) for sample in dataset.samples
    ]
    assert texts == [sample.text for sample in dataset.samples]


@pytest.mark.slow
def test_a_large_file_is_indexed_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    with path.open("w") as stream:
        for i in range(60_000):
            stream.write(f'{{"messages": [{i}]}}\n')
    tracemalloc.start()
    count = sum(1 for _ in lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 3 * 2**20
