"""Drawing samples by seed, and the groups that they form."""

from __future__ import annotations

import weakref
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.datasets import Dataset, Sample, load_mixed, load_samples, with_groups
from alignbench.datasets.draw import draw_samples
from alignbench.datasets.row import Row
from alignbench.errors import DataError
from alignbench.files import read_regular
from alignbench.tests.data_files import charts_and_tables, line, make_root, png

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alignbench.datasets.row import Draft


def ids(dataset: Dataset) -> list[str]:
    return [sample.id for sample in dataset.samples]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return charts_and_tables(tmp_path_factory.mktemp("root"), n=40)


def test_the_same_seed_draws_the_same_and_another_seed_another(root: Path) -> None:
    first, again, other = (load_mixed(10, root=root, seed=seed) for seed in (1, 1, 2))
    assert first.samples == again.samples
    assert first.digest == again.digest
    assert ids(first) != ids(other)


def test_as_many_of_each_type_in_the_files_order(root: Path) -> None:
    dataset = load_mixed(10, root=root)
    assert Counter(sample.data_type for sample in dataset.samples) == {"chart": 10, "table": 10}
    assert dataset.data_types == ("chart", "table")
    assert ids(dataset) == sorted(ids(dataset))


def test_types_come_in_the_order_asked_for(root: Path) -> None:
    assert load_mixed(2, ["table", "chart"], root=root).data_types == ("table", "chart")


@pytest.mark.slow
def test_the_draw_is_over_the_whole_file_not_its_head(root: Path) -> None:
    """Over 80 seeds every row is drawn about as often: 10 of 40 gives 20 times each."""
    counts = Counter(
        name for seed in range(80) for name in ids(load_samples("chart", 10, root=root, seed=seed))
    )
    assert len(counts) == 40
    chi_square = sum((count - 20) ** 2 / 20 for count in counts.values())
    assert chi_square < 73  # the 99.9% point at 39 degrees of freedom; the head alone would give 2,400


def test_what_is_drawn_of_a_type_does_not_depend_on_the_others(root: Path) -> None:
    mixed = load_mixed(7, root=root)
    alone = load_samples("table", 7, root=root)
    assert [s for s in mixed.samples if s.data_type == "table"] == list(alone.samples)


def test_types_are_drawn_apart(root: Path) -> None:
    dataset = load_mixed(10, root=root)
    rows = [{s.id[-2:] for s in dataset.samples if s.data_type == kind} for kind in ("chart", "table")]
    assert rows[0] != rows[1]


def test_a_smaller_draw_is_part_of_a_larger_one(root: Path) -> None:
    assert set(ids(load_mixed(5, root=root))) < set(ids(load_mixed(20, root=root)))


def test_more_than_there_are_takes_all_and_says_so(root: Path) -> None:
    dataset = load_samples("chart", 50, root=root)
    assert len(dataset) == 40
    assert dataset.notes == ("chart: 40 samples; 50 were asked for and there are no more",)
    assert load_samples("chart", 40, root=root).notes == ()


def test_a_bad_row_met_on_the_way_is_reported_and_costs_no_sample(tmp_path: Path) -> None:
    images = {f"chart/{i}.png": png((i, i, i)) for i in range(20)}
    lines = [line(name, f"answer {name}") for name in images] + ["{"] * 5 + [line("chart/no.png")] * 20
    dataset = load_samples("chart", 20, root=make_root(tmp_path, lines, images))
    assert len(dataset) == 20
    assert Counter("JSON" in row.reason for row in dataset.dropped)[True] == 5
    assert any("no such file" in row.reason for row in dataset.dropped)


@pytest.mark.slow
def test_one_wording_an_image_is_drawn_and_in_front(root: Path) -> None:
    first = Counter(
        load_samples("chart", None, root=root, seed=seed).samples[0].text.split()[0] for seed in range(40)
    )
    assert set(first) == {"first", "second", "third"}
    assert min(first.values()) > 5


def test_the_drawn_wording_does_not_depend_on_the_number_of_samples(root: Path) -> None:
    few = {sample.id: sample.text for sample in load_mixed(5, root=root).samples}
    many = {sample.id: sample.text for sample in load_mixed(40, root=root).samples}
    assert few.items() <= many.items()


def test_all_wordings_are_rows_of_one_group(root: Path) -> None:
    dataset = load_samples("chart", 4, root=root, wordings="all")
    assert len(dataset) == 12
    assert len({sample.group for sample in dataset.samples}) == 4
    assert len(set(ids(dataset))) == 12
    assert {len(sample.texts) for sample in dataset.samples} == {1}


@pytest.mark.slow
def test_of_several_lines_about_an_image_one_is_drawn(tmp_path: Path) -> None:
    lines = [line("chart/a.png", f"answer {i}") for i in range(30)] + [line("chart/b.png", "other")]
    root = make_root(tmp_path, lines, {"chart/a.png": png((1, 1, 1)), "chart/b.png": png((2, 2, 2))})
    draws = {load_mixed(None, root=root, seed=seed).samples[0].text for seed in range(20)}
    assert len(draws) > 5
    dataset = load_mixed(None, root=root)
    assert len(dataset) == 2
    assert "29 further rows" in dataset.notes[0]
    everything = load_mixed(None, root=root, wordings="all")
    assert len(everything) == 31
    assert len({sample.group for sample in everything.samples}) == 2


def test_a_bad_line_about_an_image_leaves_room_for_a_good_one(tmp_path: Path) -> None:
    lines = [line("chart/a.png", None)] * 10 + [line("chart/a.png", "the answer")]
    root = make_root(tmp_path, lines, {"chart/a.png": png()})
    for seed in range(5):
        assert [s.text for s in load_mixed(None, root=root, seed=seed).samples] == ["the answer"]


def test_rows_without_an_id_are_named_by_their_image(tmp_path: Path) -> None:
    root = make_root(tmp_path, ["", line("chart/a.png")], {"chart/a.png": png()})
    assert ids(load_mixed(None, root=root)) == ["chart/a.png"]


def test_ids_that_occur_twice_are_told_apart(tmp_path: Path) -> None:
    images = {f"{kind}/{i}.png": png((i, len(kind), 9)) for kind in ("chart", "table") for i in (1, 2)}
    lines = [line(name, name, id=name[-5]) for name in images]
    lines.append(line("table/3.png", "3", id="1"))
    dataset = load_mixed(None, root=make_root(tmp_path, lines, {**images, "table/3.png": png((7, 7, 7))}))
    assert ids(dataset) == ["chart/1", "chart/2", "table/1", "table/2", "table/1#2"]


def sample(name: str, image: bytes, *texts: str) -> Sample:
    return Sample(id=name, image=image, texts=texts, data_type="chart")


def groups(*samples: Sample) -> list[int]:
    """Each sample's group as a number, in order of first appearance."""
    names = [of.group for of in with_groups(samples)]
    return [list(dict.fromkeys(names)).index(name) for name in names]


def test_the_same_bytes_or_a_text_in_common_are_one_group() -> None:
    a, b, c, d = (png((i, i, i)) for i in range(4))
    assert groups(sample("1", a, "x"), sample("2", b, "y")) == [0, 1]
    assert groups(sample("1", a, "x"), sample("2", a, "y")) == [0, 0]
    assert groups(sample("1", a, "x"), sample("2", b, " X \n")) == [0, 0]
    assert groups(sample("1", a, "x"), sample("2", b, "y", "x")) == [0, 0]
    chain = [sample("1", a, "x"), sample("2", b, "x", "y"), sample("3", c, "y", "z"), sample("4", d, "w")]
    assert groups(*chain) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("left", "right"), [("한국어 값", "한국어 값"), ("ﬁve", "FIVE"), ("９", "9"), ("a  b", "a\nb")]
)
def test_texts_are_compared_as_a_reader_would(left: str, right: str) -> None:
    assert groups(sample("1", png((1, 1, 1)), left), sample("2", png((2, 2, 2)), right)) == [0, 0]


def test_a_groups_name_does_not_depend_on_order() -> None:
    samples = [sample(str(i), png((i, 0, 0)), f"text {i // 2}") for i in range(6)]
    forwards = {of.id: of.group for of in with_groups(samples)}
    backwards = {of.id: of.group for of in with_groups(samples[::-1])}
    assert forwards == backwards


def test_the_digest_sees_every_part_that_is_embedded() -> None:
    def digest(*samples: Sample) -> str:
        return Dataset("d", samples, "here").digest

    base = digest(sample("1", b"image", "a", "b"))
    assert digest(sample("1", b"image", "a", "b")) == base
    changed = [
        digest(sample("2", b"image", "a", "b")),
        digest(sample("1", b"other", "a", "b")),
        digest(sample("1", b"image", "b", "a")),
        digest(sample("1", b"image", "a\0b")),
        digest(Sample(id="1", image=b"image", texts=("a", "b"), data_type="table")),
    ]
    assert base not in changed
    assert len(set(changed)) == len(changed)


def test_an_image_is_read_once_by_the_loader(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[str] = Counter()

    def counted(path: Path, *args: Any, **options: Any) -> bytes:
        reads[path.name] += 1
        return read_regular(path, *args, **options)

    monkeypatch.setattr("alignbench.datasets.images.read_regular", counted)
    dataset = load_mixed(5, root=root)
    assert dataset.digest
    assert set(reads.values()) == {1}


def test_a_user_is_told_what_was_taken_and_what_was_not(tmp_path: Path) -> None:
    root = charts_and_tables(tmp_path, n=2)
    with (root / "labels.jsonl").open("a") as stream:
        stream.write("{\n" * 5)
    dataset = load_mixed(2, root=root)
    lines = dataset.describe()
    how = "as asked for; read as messages: it has a labels.jsonl"
    assert lines[0] == f"{dataset.label}: 4 samples in 4 groups (2 chart, 2 table) from {root} ({how})"
    assert lines[1] == "5 rows could not be used:"
    assert lines[2].startswith("  labels.jsonl:5: not JSON")
    assert lines[-1] == "  and 2 more"


def test_an_image_that_vanishes_after_loading_is_our_error(tmp_path: Path) -> None:
    dataset = load_mixed(None, root=charts_and_tables(tmp_path, n=1))
    image = dataset.samples[0].image
    assert isinstance(image, Path)
    image.unlink()
    with pytest.raises(DataError, match=r"chart_00\.png.*no such file"):
        dataset.samples[0].image_bytes()


def test_a_stray_row_with_a_type_does_not_cost_all_rows_without_one(tmp_path: Path) -> None:
    images = {f"{i}.png": png((i, 0, 0)) for i in range(4)}
    root = make_root(
        tmp_path, [*(line(name, f"text of {name}") for name in images), line("x/../y.png")], images
    )
    dataset = load_mixed(None, root=root)
    assert (len(dataset), dataset.data_types) == (4, ("all",))
    [dropped] = dataset.dropped
    assert "'..' in the path" in dropped.reason


class Record:
    """A row's content, of which a weak reference says whether anybody still holds it."""

    def __init__(self, where: str) -> None:
        self.where = where


def test_rows_without_an_image_are_reported_and_their_records_forgotten() -> None:
    alive: weakref.WeakSet[Record] = weakref.WeakSet()

    def rows() -> Iterator[Draft]:
        for number in range(50):
            record = Record(f"here:{number}")
            alive.add(record)
            yield None, "", lambda record: Row(record.where, None, ("a text",)), record
            del record
            assert len(alive) <= 1  # the last one

    draw = draw_samples(rows, n=None, types=None, seed=0, text_field="answer")
    assert [row.where for row in draw.dropped] == [f"here:{number}" for number in range(50)]
    assert {row.reason for row in draw.dropped} == {"no image"}
