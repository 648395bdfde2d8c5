"""A missing label or group is an error at every entrance, and never a class of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
import torch

from alignbench import score_arrays
from alignbench.columns import is_missing, names_of
from alignbench.datasets import Dataset, Sample
from alignbench.datasets.arrays import read_groups, read_labels
from alignbench.errors import DataError, InputError
from alignbench.experiments.validity.links import from_table
from alignbench.metrics import METRICS, Moments
from alignbench.stats import correlations, evaluate
from alignbench.types import Embeddings, ModelInfo, Pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N = 60
X, Y = np.random.default_rng(0).standard_normal((2, N, 6))
WHOLE: list[Any] = [f"g{i % 30}" for i in range(N)]


class NotAvailable:
    """Like pandas' NA: equal to nothing, unequal to nothing."""

    def __ne__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def lacking(value: object, row: int = 7) -> list[Any]:
    return [*WHOLE[:row], value, *WHOLE[row + 1 :]]


def a_pair(labels: Any, groups: Any) -> Pair:
    ids = tuple(map(str, range(N)))
    sides = [
        Embeddings(
            ModelInfo(name, cast("Any", side), "other", "here", "custom"), values.astype(np.float32), ids
        )
        for name, side, values in (("enc", "vision", X), ("llm", "text", Y))
    ]
    return Pair(sides[0], sides[1], tuple(labels), tuple(groups), "toy")


ENTRANCES: dict[str, Callable[[list[Any]], object]] = {
    "discriminability": lambda column: METRICS.get("discriminability")(X, column),
    "discriminability_raw": lambda column: METRICS.get("discriminability_raw")(X, column),
    "knn_accuracy": lambda column: METRICS.get("knn_accuracy")(X, column),
    "groups of knn_accuracy": lambda column: METRICS.get("knn_accuracy")(X, WHOLE, groups=column),
    "groups of ridge_r2": lambda column: METRICS.get("ridge_r2")(X, Y, groups=column),
    "labels of eas": lambda column: METRICS.get("eas")(X, Y, labels=column),
    "groups of a basis": lambda column: METRICS.get("coral_distance")(X, Y, groups=column),
    "labels of evaluate": lambda column: evaluate(METRICS.get("knn_accuracy"), X, labels=column),
    "groups of evaluate": lambda column: evaluate(METRICS.get("linear_cka"), X, Y, groups=column),
    "moments": lambda column: Moments.from_arrays(X, Y, column),
    "labels of a pair": lambda column: a_pair(column, WHOLE),
    "groups of a pair": lambda column: a_pair(WHOLE, column),
    "labels of score_arrays": lambda column: score_arrays(X, Y, column, metrics="linear_cka"),
    "groups of score_arrays": lambda column: score_arrays(X, Y, groups=column, metrics="linear_cka"),
    "lineages": lambda column: correlations({"m": X[:, :1]}, {"o": Y[:, :1]}, column),
}


@pytest.mark.parametrize(
    "value", [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), "nan"], ids=repr
)
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_missing_name_is_refused_with_its_row(entrance: str, value: object) -> None:
    with pytest.raises(InputError, match="row 7 has"):
        ENTRANCES[entrance](lacking(value))


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_whole_columns_pass(entrance: str) -> None:
    ENTRANCES[entrance](WHOLE)


@pytest.mark.parametrize(
    "column",
    [
        [0.0, 1.0, float("nan")],
        np.array([0.0, 1.0, np.nan]),
        np.array(["a", "b", None], dtype=object),
        np.array(["2026-01-01", "2026-01-02", "NaT"], dtype="datetime64[ns]"),
        np.ma.masked_array([1, 2, 3], mask=[False, False, True]),
        torch.tensor([0.0, 1.0, float("nan")]),
        ["a", "b", NotAvailable()],
        ["a", "b", "<NA>"],
        np.array(["a", "b", "None"]),
        np.array([b"a", b"b", b"nan"]),
    ],
    ids=lambda column: type(column).__name__,
)
def test_what_is_missing_in_each_kind_of_column(column: Any) -> None:
    with pytest.raises(InputError, match=r"labels: .*row 2\b"):
        names_of(column, 3, "labels")


@pytest.mark.parametrize(
    ("column", "names"),
    [
        ([1, 2, 1], ["1", "2", "1"]),
        (np.array([1, 2, 1]), ["1", "2", "1"]),
        (torch.tensor([1, 2, 1]), ["1", "2", "1"]),
        ([True, False, True], ["True", "False", "True"]),
        ([b"a", b"b", b"a"], ["a", "b", "a"]),
        (np.array([0.5, 1.0, 0.5], dtype=np.float32), ["0.5", "1.0", "0.5"]),
        (["a", 1, "none"], ["a", "1", "none"]),
        (("NA", "null", ""), ["NA", "null", ""]),
    ],
    ids=repr,
)
def test_names_are_what_they_were(column: Any, names: list[str]) -> None:
    found = names_of(column, 3, "labels")
    assert found.tolist() == names
    assert found.dtype.kind == "U"


@pytest.mark.parametrize(
    "column", [["a", "b"], [["a", "b", "c"]], "abc", np.zeros((3, 1)), [["a"], ["b", "c"], "d"]]
)
def test_a_column_has_one_name_a_row(column: Any) -> None:
    with pytest.raises(InputError, match=r"labels: (expected 3, one per row|row 0 has a list)"):
        names_of(column, 3, "labels")


def test_only_what_is_missing_is_missing() -> None:
    assert not any(map(is_missing, ("", "none", "NULL", "N/A", 0, 0.0, False, b"x", [], np.zeros(2))))


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "<NA>", "NaT"])
def test_files_of_labels_and_groups_spell_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "column.txt").write_text(f"a\n{text}\nb\n", encoding="utf-8")
    np.save(tmp_path / "column.npy", np.array(["a", text, "b"]))
    for name in ("column.txt", "column.npy"):
        for read in (read_labels, read_groups):
            with pytest.raises(DataError, match=rf"{name}: \w+: row 1 has '{text}', which is how"):
                read(tmp_path / name, 3)


@pytest.mark.parametrize("value", [None, float("nan"), "nan"], ids=repr)
def test_a_dataset_names_the_sample_without_a_type_or_group(value: Any) -> None:
    whole = Sample("first", b"x", ("text",), "chart", "g")
    for what in ("data_type", "group"):
        fields = {"data_type": "chart", "group": "g", what: value}
        other = Sample("second", b"y", ("text",), **fields)
        with pytest.raises(DataError, match=rf"mine: sample 'second': {what} is "):
            Dataset("mine", (whole, other), "here")


def test_a_table_names_the_line_without_a_lineage(tmp_path: Path) -> None:
    lines = ["encoder,family,lineage,metric_a,performance_b"]
    lines += [f"e{i},f,{'nan' if i == 3 else f'l{i}'},{i},{i * i}" for i in range(6)]
    (tmp_path / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match=r"table\.csv: line 5, column 'lineage': 'nan' is how a missing"):
        from_table(tmp_path / "table.csv")


def test_large_whole_numbers_keep_their_own_names() -> None:
    # Together with a small number, numpy would make floats of these: 64 bits, as hashes have them.
    hashes = [2**63 + 1, 2**63 + 2, 3]
    assert names_of(hashes, 3, "groups").tolist() == [str(number) for number in hashes]
    assert len(set(names_of([2**53, 2**53 + 1, 0.5], 3, "groups"))) == 3


def test_equal_numbers_have_one_name_whatever_their_type() -> None:
    assert names_of([1, 1.0, np.int64(1), 2], 4, "groups").tolist() == ["1", "1", "1", "2"]


def test_bytes_are_text_in_utf_8() -> None:
    assert names_of(["ä".encode(), b"b"], 2, "labels").tolist() == ["ä", "b"]
    with pytest.raises(InputError, match=r"^labels: row 1 has a bytes that is no name \('utf-8'"):
        names_of(np.array([b"a", b"\xe4"]), 2, "labels")


def test_what_can_not_be_written_out_is_no_name() -> None:
    with pytest.raises(InputError, match=r"^groups: row 1 has a int that is no name \(Exceeds"):
        names_of([3, 10**5000], 2, "groups")


def test_labels_may_be_a_tensor_that_numpy_has_no_type_for() -> None:
    labels = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    assert names_of(labels, 2, "labels").tolist() == ["1.0", "2.0"]
