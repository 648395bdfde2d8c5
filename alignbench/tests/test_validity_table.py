"""Validity of a table from elsewhere: what it says, and what is said of a table that can't be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.errors import DataError
from alignbench.experiments.validity.links import from_table

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """encoder,family,metric_cka,metric_knn,note,performance_mmmu
clip,contrastive,.1,.5,x,30
siglip,contrastive,.2,.4,"a, b",41
dino,self-supervised,.3,.6,,38
mae,self-supervised,.4,.2,,52
resnet,supervised,.5,.1,,50
"""
FLAT = "encoder,family,metric_a,performance_b\na,x,1,1\nb,x,1,2\nc,x,1,3"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_from_elsewhere_is_judged_like_our_own(tmp_path: Path) -> None:
    found = from_table(written(tmp_path, GOOD))
    assert found.name == "table"
    assert found.lineages == 5
    assert [(link.correlation.metric, link.correlation.outcome) for link in found.links] == [
        ("metric_cka", "performance_mmmu"),
        ("metric_knn", "performance_mmmu"),
    ]
    first = found.links[0]
    r = np.corrcoef([0.1, 0.2, 0.3, 0.4, 0.5], [30, 41, 38, 52, 50])[0, 1]
    assert first.correlation.pearson == pytest.approx(r)
    assert first.explained.r2 == pytest.approx(r * r)
    assert first.explained.null_r2 == pytest.approx(1 / 4)
    assert first.explained.exact
    assert first.explained.q2 is not None
    assert set(first.without) == {"contrastive", "self-supervised", "supervised"}
    assert found.together["performance_mmmu"].null_r2 == pytest.approx(2 / 4)


def test_columns_may_be_named_instead(tmp_path: Path) -> None:
    text = GOOD.replace("metric_", "").replace("performance_", "")
    found = from_table(written(tmp_path, text), metrics=["cka"], outcomes=["mmmu", "knn"])
    assert {link.correlation.outcome for link in found.links} == {"mmmu", "knn"}


def test_rows_of_one_lineage_are_one_unit(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    text = "\n".join([f"lineage,{lines[0]}", *(f"l{i % 2},{line}" for i, line in enumerate(lines[1:]))])
    assert from_table(written(tmp_path, text)).lineages == 2


def test_bom_crlf_and_blank_lines_are_fine(tmp_path: Path) -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n\r\n")
    assert from_table(written(tmp_path, text)).lineages == 5


def test_three_encoders_are_not_estimable_and_shown(tmp_path: Path) -> None:
    found = from_table(written(tmp_path, "\n".join(GOOD.splitlines()[:4])))
    assert found.statement.startswith("Not estimable: 3 lineages, it takes 5")
    assert found.links[0].correlation.smallest_p == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table.csv: it is empty"),
        ("\n\n", "it is empty"),
        (GOOD.replace("encoder,", "name,"), "line 1: no column 'encoder'; it has name, family"),
        (GOOD.replace("family,", "kind,"), "line 1: no column 'family'"),
        (GOOD.replace("metric_", ""), "line 1: no column begins with 'metric_'"),
        (GOOD.replace("performance_", ""), "line 1: no column begins with 'performance_'"),
        (GOOD.replace("metric_knn", "metric_cka"), "line 1: two columns are called 'metric_cka'"),
        (GOOD.replace(".3,.6", "x,.6"), "line 4, column 'metric_cka': expected a finite number, got 'x'"),
        (GOOD.replace(".3,.6", ",.6"), "line 4, column 'metric_cka': expected a finite number, got ''"),
        (
            GOOD.replace(",38", ",nan"),
            "line 4, column 'performance_mmmu': expected a finite number",
        ),
        (GOOD.replace(",38", ",1e999"), "line 4, column 'performance_mmmu': expected a finite number"),
        (GOOD.replace("mae,", "clip,"), "line 5, column 'encoder': 'clip' is also on line 2"),
        (GOOD.replace("mae,", ","), "line 5, column 'encoder': it is empty"),
        (GOOD.replace("mae,", "mae,extra,"), "line 5: expected 6 cells, got 7"),
        (GOOD.replace('"a, b"', '"a'), "table.csv: line"),
        ("\n".join(GOOD.splitlines()[:3]), "expected at least 3 encoders, got 2"),
        (
            "encoder,family,metric_a,performance_b\na,x,1,1\nb,x,1,2\nc,x,1,3",
            "'metric_a': all 3 values are 1",
        ),
        (b"\xff\xfe\x00bad", "can't be read as UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        from_table(written(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_column_can_be_no_metric_and_outcome_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both a metric and an outcome"):
        from_table(written(tmp_path, GOOD), metrics=["metric_cka"], outcomes=["metric_cka"])
    with pytest.raises(DataError, match="no column 'speed' for metrics"):
        from_table(written(tmp_path, GOOD), metrics=["speed"])
    with pytest.raises(DataError, match=r"missing\.csv: can't be read"):
        from_table(tmp_path / "missing.csv")
