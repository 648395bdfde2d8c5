"""A table of one's own, in blocks: what is read, what is refused, and what it can say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import alignbench as ab
from alignbench.errors import ConfigError, DataError, ModelError
from alignbench.experiments.validity.links import from_table
from alignbench.experiments.validity.published import Published, table_of
from alignbench.experiments.validity.published.fill import fill
from alignbench.experiments.validity.published.judge import judge
from alignbench.experiments.validity.published.record import scores_of
from alignbench.experiments.validity.published.words import said
from alignbench.experiments.validity.table import read_blocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


TABLE = """block,encoder,family,spec,metric_cka,metric_knn,performance_mmmu,performance_docvqa
A,clip,c,mini-clip,.1,.5,30,1
A,siglip,c,,.2,.4,41,2
A,dino,s,,.3,.6,38,4
A,mae,s,,.4,.2,52,3
B,clip,c,mini-clip,.1,,30,
B,siglip,c,,.2,,41,
B,dino,s,,.3,,38,
B,mae,s,,.5,,52,
"""


def written(folder: Path, change: Callable[[str], str]) -> Path:
    path = folder / "own.csv"
    path.write_text(change(TABLE), encoding="utf-8")
    return path


def test_a_block_may_lack_a_column_but_no_single_cell(tmp_path: Path) -> None:
    blocks = read_blocks(written(tmp_path, str))
    assert list(blocks) == ["A", "B"]
    assert set(blocks["A"].metrics) == {"metric_cka", "metric_knn"}
    assert set(blocks["B"].metrics) == {"metric_cka"}
    assert set(blocks["B"].outcomes) == {"performance_mmmu"}
    assert blocks["A"].specs == ("mini-clip", "", "", "")
    found = judge(table_of(written(tmp_path, str)), blocks)
    assert said(found).startswith("own.csv (4 encoders in 2 blocks). Not estimable: 4 lineages, it takes 5;")
    assert [one.outcome for one in found.pooled] == ["performance_mmmu"]
    assert all("not_estimable" in score.flags for score in scores_of(found) if score.metric == "table_r")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda t: t.replace("B,dino,s,,.3,", "B,dino,s,,,"),
            "line 8, column 'metric_cka': expected a finite",
        ),
        (
            lambda t: t.replace("B,mae", "B,dino"),
            "line 9, column 'encoder': 'dino' is also on line 8 of block",
        ),
        (lambda t: t.replace("B,mae", "C,mae"), "block 'C': expected at least 3 encoders, got 1"),
        (lambda t: t.replace("B,mae", ",mae"), "line 9, column 'block': it is empty"),
        (lambda t: t.replace("performance_", "p_"), "no column begins with 'performance_'"),
        (
            lambda t: t.replace(",30,1", ",nan,1"),
            "line 2, column 'performance_mmmu': expected a finite number",
        ),
    ],
)
def test_what_is_wrong_with_a_table_in_blocks_is_told(
    change: Callable[[str], str], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        read_blocks(written(tmp_path, change))


def test_blocks_are_never_read_as_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"it has 2 blocks \(A, B\), whose values can't be pooled"):
        from_table(written(tmp_path, str))


class Never:
    """Fails when a computation begins."""

    def expect(self, steps: int) -> None:
        """Take the number of steps."""

    def step(self, what: str) -> None:
        """Fail."""
        pytest.fail(f"{what} was begun")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("encoder,family,metric_a,performance_b\n", "it has a header and no rows"),
        (
            "encoder,family,performance_b\na,x,1\nb,x,2\nc,y,4\n",
            "no column begins with 'metric_', so nothing can be correlated; --fill computes our scores",
        ),
    ],
)
def test_a_table_that_can_say_nothing_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    about = table_of(path)
    with pytest.raises(DataError, match=rf"own\.csv: {says}"):
        judge(about, about.blocks())
    with pytest.raises(ConfigError, match=rf"^table: .*{says}"):  # also before anything is computed
        ab.Session(encoders=["mini-clip"], llms=["mini-llama"], table=path).run("validity", steps=Never())


def no_weights(spec: str) -> Any:
    raise ModelError(f"there is no {spec}")


@pytest.mark.parametrize(
    ("specs", "error", "says"),
    [
        (("", "", ""), DataError, "--fill: own.csv has no column 'spec'"),
        (("x", "y", ""), ModelError, "0 of 3 encoders of own.csv could be scored, and 3 are needed;"),
    ],
)
def test_a_table_that_cannot_be_filled_is_no_empty_result(
    specs: tuple[str, ...], error: type[Exception], says: str, tmp_path: Path
) -> None:
    named = enumerate(zip("abc", specs, strict=True))
    rows = "".join(f"{name},f,{spec},{i},{i}\n" for i, (name, spec) in named)
    path = tmp_path / "own.csv"
    path.write_text(f"encoder,family,spec,metric_a,performance_b\n{rows}", encoding="utf-8")
    about = table_of(path)
    with pytest.raises(error, match=re.escape(says)):
        fill(about.blocks(), no_weights, 0, about.title)


def test_a_table_without_scores_still_has_its_ceiling(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text.replace("metric_", "note_"))
    about = Published("own", "own", path)
    first, *others = scores_of(judge(about, about.blocks()))
    assert (first.status, first.reason) == (
        "not_applicable",
        "the table has no column of scores: name one metric_..., or let --fill compute ours",
    )
    assert [(score.metric, score.value) for score in others] == [("ceiling", 1.0)]


def test_a_label_of_one_encoder_alone_has_no_q2(tmp_path: Path) -> None:
    lines = ["encoder,family,metric_label,performance_x"]
    lines += [f"e{i},f,{int(i == 0)},{value}" for i, value in enumerate([9, 2, 4, 3, 5, 1])]
    path = tmp_path / "own.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    (link,) = from_table(path).links
    assert link.explained.q2 is None
    assert link.explained.r2 > 0
