"""How long a run is said to take before it begins."""

from __future__ import annotations

import ast
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench import paths
from alignbench.experiments import experiments
from alignbench.llms import conversions, gguf
from alignbench.plugin import costs
from alignbench.plugin.costs import Workload, overhead, projector_of
from alignbench.plugin.terminal import PendingModel, embedding_seconds, model_seconds, tokens_of
from alignbench.projectors import PROJECTORS
from alignbench.session.options import Options
from alignbench.tests.toys import copy_benchmarks, run
from alignbench.types import ModelInfo
from alignbench.units import duration_text
from alignbench.weights import Location
from alignbench.weights.sizes import ModelSize

if TYPE_CHECKING:
    from pathlib import Path

TRAINING = "benchmarks/test_compare.py::test_projection[mlp-a-l]"
SOLVED = "benchmarks/test_elas.py::test_elas[a-l]"
TIMING = "benchmarks/test_speed.py::test_encode[a-1]"


def options(**given: Any) -> Options:
    return Options({"figures": False, **given})


def seconds_of_tests(tests: list[str], given: Any, **how: Any) -> float:
    work = Workload(given, **how)
    return sum(work.seconds([test])[test] for test in tests) + overhead(tests, given)


def test_every_cost_is_of_a_test_that_there_is() -> None:
    files = paths.benchmarks().glob("test_*.py")
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    there = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {part.test for experiment in experiments() for part in experiment.parts} <= there
    assert set(costs._SHARE) == set(PROJECTORS)
    assert sum(costs._SHARE.values()) == pytest.approx(len(PROJECTORS))


def test_a_training_takes_longer_than_a_score() -> None:
    score = "benchmarks/test_coral.py::test_cross_modal[ncoral-a-l]"
    assert seconds_of_tests([TRAINING] * 30, options()) > 2 * seconds_of_tests([score] * 30, options())


def test_the_name_in_the_brackets_is_of_no_test() -> None:
    named = seconds_of_tests(["t.py::test_x[test_vlm]", "t.py::test_x[::test_vlm]"], options())
    assert named == seconds_of_tests(["t.py::test_x[a]"] * 2, options())


@pytest.mark.parametrize(
    ("test", "less", "usual"), [(TRAINING, "epochs", 300), (TRAINING, "splits", 5), (SOLVED, "splits", 40)]
)
def test_less_training_takes_less_time(test: str, less: str, usual: int) -> None:
    all_of_it, rest = (seconds_of_tests(tests, options()) for tests in ([test], []))
    shorter = seconds_of_tests([test], options(**{less: 2})) - rest
    assert shorter == pytest.approx((all_of_it - rest) * 2 / usual)


def test_a_metric_that_takes_longer_than_others_has_seconds_of_its_own() -> None:
    def seconds(metric: str, samples: int = 90) -> float:
        test = f"benchmarks/test_predictors.py::test_predictors[{metric}-a-l]"
        return Workload(options(), samples).seconds([test])[test]

    # CPU seconds on the packaged samples with mini-clip; svcca is part of another name, and not in the table.
    measured = {"gw_distance": 0.1, "gw_identity": 0.2, "logme": 0.4, "svcca": 0.1, "svcca_heldout": 1.5}
    for metric, taken in measured.items():
        assert taken / 2 <= seconds(metric) <= taken * 2
    assert seconds("logme", 900) == pytest.approx(10 * seconds("logme"))


def test_a_loss_that_is_trained_takes_as_many_trainings_as_are_asked_for() -> None:
    def seconds(loss: str, **given: Any) -> float:
        test = f"benchmarks/test_e2e.py::test_e2e[{loss}-a-l]"
        return Workload(options(**given)).seconds([test])[test]

    # CPU seconds on the packaged samples with mini-clip.
    for loss, taken in (("ridge", 0.5), ("contrastive", 2.8), ("cosine", 1.2), ("mse", 0.5)):
        assert taken / 2 <= seconds(loss) <= taken * 2
    assert seconds("ridge", seeds=1) == seconds("ridge")
    assert seconds("contrastive", seeds=1) == pytest.approx(seconds("contrastive") / 5)
    assert seconds("contrastive", splits=5) == pytest.approx(seconds("contrastive"))
    assert seconds("ridge", splits=5) == pytest.approx(seconds("ridge") / 8)


def test_the_trainings_of_the_final_are_part_of_a_race() -> None:
    test = "benchmarks/test_choose.py::test_choose[l]"

    def seconds(**given: Any) -> float:
        return Workload(options(**given)).seconds([test])[test]

    alone, vlm = seconds(), "benchmarks/test_vlm.py::test_vlm[a-l-linear]"
    solved = "benchmarks/test_e2e.py::test_e2e[ridge-a-l]"
    for final, cell in (("e2e", solved), ("vlm", vlm)):
        own = Workload(options()).seconds([cell])[cell]
        assert seconds(final=final) == pytest.approx(alone + own)
    assert 16 <= seconds(final="vlm") <= 60  # it took 36 CPU seconds
    assert seconds(final="vlm", epochs=2) == pytest.approx(alone + (seconds(final="vlm") - alone) / 4)
    two = seconds(final="vlm", projectors=["linear", "mlp"]) - alone
    assert two == pytest.approx(2 * (seconds(final="vlm") - alone))
    larger = Workload(options(final="vlm"), **REAL).seconds([test])[test]
    assert larger > 6 * seconds(final="vlm")


def test_nothing_is_timed_where_workers_share_the_tests() -> None:
    assert Workload(options()).seconds([TIMING])[TIMING] > 0
    assert Workload(options(), timed=False).seconds([TIMING])[TIMING] == 0


MINI: dict[str, Any] = {"vision": {"a": ModelSize(3_000_000, 192)}, "text": {"l": ModelSize(3_300_000, 256)}}
REAL: dict[str, Any] = {
    "vision": {"a": ModelSize(4_600_000, 1280)},
    "text": {"l": ModelSize(135_000_000, 576)},
}


def test_the_packaged_models_take_what_was_measured() -> None:
    for test in (TRAINING, "benchmarks/test_vlm.py::test_vlm[a-l-linear]"):
        plain = Workload(options()).seconds([test])[test]
        assert plain == pytest.approx(0.7 if test == TRAINING else 30, rel=0.05)
        assert Workload(options(), **MINI).seconds([test])[test] == pytest.approx(plain)
    four = [f"benchmarks/test_compare.py::test_projection[{name}-a-l]" for name in PROJECTORS]
    assert sum(Workload(options()).seconds(four).values()) == pytest.approx(4 * 1.15, rel=0.01)


@pytest.mark.parametrize(
    ("test", "least", "most"),
    [
        # 11.1 CPU seconds for 1.16 on 1,280 and 640 numbers; 14 minutes for 30 s with 135M parameters.
        ("benchmarks/test_compare.py::test_projection[linear-a-l]", 5, 15),
        ("benchmarks/test_compare.py::test_projection[a-l-mlp]", 4, 12),
        ("benchmarks/test_vlm.py::test_vlm[linear-a-l]", 14, 56),
        ("benchmarks/test_cka.py::test_cka[linear_cka-a-l]", 1, 1.1),
    ],
)
def test_larger_models_take_longer(test: str, least: float, most: float) -> None:
    mini, real = (Workload(options(), **sizes).seconds([test])[test] for sizes in (MINI, REAL))
    assert least <= real / mini <= most


def test_elas_of_another_projector_takes_as_much_longer_as_that() -> None:
    linear, other = (
        f"benchmarks/test_elas.py::test_elas[{name}-a-l]" for name in ("linear", "cross_attention")
    )
    seconds = Workload(options()).seconds([linear, other])
    assert seconds[other] / seconds[linear] == pytest.approx(
        costs._SHARE["cross_attention"] / costs._SHARE["linear"]
    )


def test_more_samples_take_longer() -> None:
    for test in (TRAINING, "benchmarks/test_cka.py::test_cka[linear_cka-a-l]"):
        assert Workload(options(), 900).seconds([test])[test] > 3 * Workload(options()).seconds([test])[test]


def test_what_is_embedded_under_other_options_is_counted_once_a_model() -> None:
    tests = [f"benchmarks/test_sensitivity.py::test_sensitivity[a-{llm}]" for llm in ("l", "m")]
    plain = Workload(options()).seconds(tests)
    seconds = Workload(options(), embedding={"a": 10.0, "l": 100.0}).seconds(tests)
    assert seconds[tests[0]] - plain[tests[0]] == pytest.approx(6 * 110)
    assert seconds[tests[1]] == plain[tests[1]]


def to_load(**given: Any) -> PendingModel:
    info = ModelInfo("l", "text", "llama", "here", "pretrained")
    return PendingModel(info, Location("here"), 100, size=ModelSize(10_000_000_000), **given)


def test_embedding_takes_longer_for_longer_texts_and_larger_models() -> None:
    long, short = (model_seconds(to_load(tokens=tokens), "cpu") for tokens in (200, 20))
    assert long == pytest.approx(10 * short)
    assert embedding_seconds(to_load(), 1, "cpu") == pytest.approx(2 * 10e9 * 200 / 1.5e11)
    assert model_seconds(to_load(arrays="rows"), "cpu") == 0


def test_the_tokens_of_texts_go_by_their_bytes() -> None:
    def data(*texts: str) -> Any:
        return SimpleNamespace(samples=[SimpleNamespace(texts=(text,) if text else ()) for text in texts])

    assert tokens_of(data("a" * 40, "b" * 120)) == 21
    assert tokens_of(data("가" * 40)) == 31
    assert tokens_of(data("")) == 200


def test_a_gguf_file_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.gguf"
    file.write_bytes(b"0" * 1000)
    located = Location("x", tmp_path, (file,), revision="r")
    model = replace(to_load(), located=located, missing=0, timed=1)
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(tmp_path))
    first = model_seconds(model, "cpu")
    (conversions.root() / gguf._key(located)).mkdir(parents=True)
    assert first - model_seconds(model, "cpu") == pytest.approx(1000 / 1e7)


@pytest.mark.parametrize("name", PROJECTORS)
def test_the_projector_is_read_from_the_parameters(name: str) -> None:
    assert projector_of(f"t.py::test_projection[{name}-a-l]") == name
    assert projector_of(f"t.py::test_projection[a-l-{name}]") == name
    assert projector_of("t.py::test_elas[a-l]") == "linear"


def test_a_run_that_was_asked_for_speed_times_longer() -> None:
    timing = ["benchmarks/test_speed.py::test_metric[rsa-5000]"]
    asked, among_others = (seconds_of_tests(timing, options(), speed_asked=asked) for asked in (True, False))
    assert asked > among_others + 1


def test_figures_are_in_the_estimate_if_they_are_drawn() -> None:
    assert seconds_of_tests([TRAINING], options(figures=True)) > seconds_of_tests([TRAINING], options())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "5 s"), (12, "10 s"), (33, "30 s"), (66, "70 s"), (112, "110 s"), (125, "2 min"), (9000, "2.5 h")],
)
def test_durations_are_round(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_a_plan_of_many_samples_promises_only_a_bound(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_e2e.py")
    few = run(project, "benchmarks", "--align-epochs=1", "--align-splits=2")
    few.stdout.fnmatch_lines(["plan *; about *"])
    many = run(
        project,
        "benchmarks",
        "--align-epochs=1",
        "--align-splits=2",
        "--n-samples=70",
        "--align-dataset=synthetic",
    )
    many.stdout.fnmatch_lines(["plan *; at least *"])
