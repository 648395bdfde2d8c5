"""An option is declared once: Python, the command line and the configuration file read one table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import AlignbenchError, ConfigError, UnknownNameError
from alignbench.experiments import EXPERIMENTS, experiments
from alignbench.options import OPTIONS, Option, OptionTable
from alignbench.session.options import Options
from alignbench.tests.toys import CONFTEST, run

if TYPE_CHECKING:
    from pathlib import Path

# A project's own option, declared in its conftest.py, and a test that looks at the values of options.
OWN = """
from alignbench.options import OPTIONS, Option

DEPTH = OPTIONS.add(Option[int](name="depth", help="how deep to look", kind="integer", default=3, least=1))
"""
LOOK = """
import pytest
pytestmark = pytest.mark.cka

def test_look(alignbench_session):
    options = alignbench_session.options
    print("values:", options.encoders, options.n_samples, options.l2, options.data_root, options.given)
    if "depth" in __import__("alignbench").OPTIONS:
        print("depth:", options["depth"])
"""
PLAIN = ("-s", "-p", "no:randomly", "-p", "no:cacheprovider")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"n_samples": 0}, "^n_samples: expected at least 1, got 0$"),
        ({"n_samples": "30"}, "^n_samples: expected a whole number, got '30'$"),
        ({"n_samples": True}, "^n_samples: expected a whole number, got True$"),
        ({"seed": 1.5}, "^seed: expected a whole number, got 1.5$"),
        ({"perplexity": float("inf")}, "^perplexity: expected a number from 1 on, got inf$"),
        ({"perplexity": "many"}, "^perplexity: expected a number, got 'many'$"),
        ({"l2": "no"}, "^l2: expected True or False, got 'no'$"),
        ({"fit": "pat"}, "^fit: unknown value 'pat'. Did you mean 'pad'?"),
        ({"fit": 3}, "^fit: expected a text, got 3$"),
        ({"data_root": 3}, "^data_root: expected a path, got 3$"),
        ({"encoders": []}, "^encoders: expected at least one, got none$"),
        ({"encoders": ["a", "b", "a"]}, "^encoders: 'a' is named twice$"),
        ({"encoders": "a,,b"}, "^encoders: an empty name in 'a,,b'"),
        ({"encoders": [3]}, "^encoders: expected texts, got 3$"),
        ({"batch_sizes": [1, 0]}, "^batch_sizes: expected whole numbers from 1 on, got '0'$"),
        ({"batch_sizes": "1,x"}, "^batch_sizes: expected whole numbers, got 'x'$"),
        ({"metrics": ["spread"]}, "^metrics: 'spread' looks at one side alone"),
        ({"prompts": ["a cat"]}, "^prompts: say in which image to look for it, by images$"),
        ({"compare_fail": "eas:1"}, "^compare_fail: say what to compare with, by compare$"),
        ({"device": "gpu"}, "^device: expected auto, cpu"),
        ({"run_name": "a/b"}, "^run_name: 'a/b' can't be part of a folder's name$"),
        ({"n_sample": 3}, "^unknown option 'n_sample'. Did you mean 'n_samples'?"),
    ],
)
def test_a_wrong_value_of_python_is_one_line_with_its_keyword(values: dict[str, Any], says: str) -> None:
    with pytest.raises(AlignbenchError, match=says):
        Options(values, spell=lambda option: option.name)


def test_values_that_python_has_are_taken_as_they_are() -> None:
    options = Options({"encoders": "a, b", "batch_sizes": (8, np.int64(2)), "seed": np.int64(7), "l2": True})
    assert (options.encoders, options.batch_sizes, options.seed) == (("a", "b"), (8, 2), 7)
    # A switch at its default is nothing to type.
    assert options.given == ("--encoders=a, b", "--align-seed=7", "--align-batch-sizes=8,2")
    assert Options({"l2": False}).given == ("--align-no-l2",)


def test_some_scores_have_another_default_until_the_option_is_given() -> None:
    usual, given = Options({}), Options({"seeds": 7})
    elas, vlm = (EXPERIMENTS.get(name).defaults for name in ("elas", "vlm"))
    assert [usual.with_defaults(one).seeds for one in ({}, elas, vlm)] == [5, 3, 1]
    assert [given.with_defaults(one).seeds for one in ({}, elas, vlm)] == [7, 7, 7]
    assert (usual.seeds, usual.with_defaults(vlm)["encoders"]) == (5, ("mini-clip", "random-vit"))
    assert (usual.to_dict()["elas_seeds"], usual.to_dict()["vlm_epochs"]) == (3, 8)


def test_the_help_of_an_option_says_its_default_in_every_experiment() -> None:
    for experiment in experiments():
        for name, default in experiment.defaults.items():
            for value in default if isinstance(default, tuple) else (default,):
                assert callable(value) or re.search(rf"\b{value}\b", OPTIONS.get(name).help)


def test_a_default_that_an_experiment_can_not_have_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^the default of splits: expected at least 2, got 1$"):
        Options({}).with_defaults({"splits": 1})
    with pytest.raises(UnknownNameError, match="unknown option 'split'"):
        Options({}).with_defaults({"split": 3})


def test_what_shapes_no_score_is_not_repeated_to_reproduce_one(tmp_path: Path) -> None:
    silent = [option.name for option in OPTIONS if not option.shapes_scores]
    assert {"output_dir", "figures", "compare"} <= set(silent)
    assert Options({"output_dir": str(tmp_path), "figures": False, "run_name": "x", "k": 3}).given == ()


def test_every_option_has_its_help_its_flag_and_a_kind_of_its_default() -> None:
    for option in OPTIONS:
        assert option.help
        assert option.flag.startswith("--")
        if option.default not in (None, ()) and not callable(option.default):
            assert option.read(option.default, option.name) == option.default


def test_an_option_is_added_once_and_whoever_listens_hears_of_it() -> None:
    table, heard = OptionTable(), []
    depth = Option[int](name="depth", help="how deep", kind="integer", default=3)
    table.listen(lambda option: heard.append(option.name))
    heard.clear()
    assert table.add(depth) is table.add(depth) is depth
    assert heard == ["depth"]
    with pytest.raises(ConfigError, match=r"'depth' \(--align-depth\)"):
        table.add(Option[str](name="depth", help="another"))
    with pytest.raises(ConfigError, match="--align-depth"):
        table.add(Option[str](name="deep", flag="--align-depth", help="another"))
    with pytest.raises(UnknownNameError, match="Did you mean 'depth'"):
        table.get("dept")


def test_a_project_brings_its_own_option(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST + OWN)
    project.makepyfile(test_it=LOOK)
    result = run(project, *PLAIN)
    result.stdout.fnmatch_lines(["*depth: 3"])
    result = run(project, *PLAIN, "--align-depth=5")
    result.stdout.fnmatch_lines(["*values: * '--align-depth=5')", "depth: 5"])
    wrong = run(project, *PLAIN, "--align-depth=0")
    wrong.stderr.fnmatch_lines(["ERROR: --align-depth: expected at least 1, got 0"])
    assert "--align-depth=DEPTH" in run(project, "--help").stdout.str()


def package_with(entry_point: str, folder: Path) -> None:
    """Install a package, as far as Python's metadata go, with an entry point of the options' group."""
    (folder / "deep.py").write_text(
        OWN.replace("OPTIONS.add(", "(").replace("OPTIONS, ", ""), encoding="utf-8"
    )
    info = folder / "deep-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: deep\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[alignbench.options]\n{entry_point}\n", encoding="utf-8")


def test_a_package_brings_its_options_by_its_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_with("depth = deep:DEPTH", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    table, heard = OptionTable(), []
    table.listen(lambda option: heard.append(option.name))
    assert heard == ["depth"]
    assert table.get("depth").flag == "--align-depth"


def test_an_entry_point_that_leads_nowhere_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_with("depth = deep:WIDTH", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"^the option 'depth': can't import deep:WIDTH"):
        OptionTable().load_entry_points()


def test_the_configuration_file_of_pytest_has_the_options(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=LOOK)
    project.makepyprojecttoml(
        '[tool.pytest.ini_options]\nalignbench_encoders = ["toy-b"]\nalignbench_llms = "toy-llm"\n'
        'alignbench_n_samples = "12"\nalignbench_l2 = false\nalignbench_data_root = "mine"\n'
    )
    values = project.runpytest_subprocess(*PLAIN, "--align-dataset=sample_data", "-k", "look")
    root = project.path / "mine"
    given = "'--encoders=toy-b', '--llms=toy-llm', '--align-no-l2', '--n-samples=12', "
    given += f"'--align-data-root={root}', '--align-dataset=sample_data'"
    values.stdout.fnmatch_lines([f"*values: ('toy-b',) 12 False {root} ({given})"])
    over = project.runpytest_subprocess(
        *PLAIN, "--encoders=toy-a", "--n-samples=9", "--align-dataset=synthetic"
    )
    over.stdout.fnmatch_lines(["*values: ('toy-a',) 9 False *"])
    wrong = project.runpytest_subprocess(*PLAIN, "-o", "alignbench_n_samples=0")
    wrong.stderr.fnmatch_lines(["ERROR: pyproject.toml: alignbench_n_samples: expected at least 1, got 0"])


@pytest.mark.parametrize(
    ("table", "name", "value", "expected"),
    [
        ("tool.pytest.ini_options", "n_samples", "x", "a whole number, or all, got"),
        ("tool.pytest.ini_options", "perplexity", "x", "a number"),
        ("tool.pytest", "l2", "maybe", "true or false"),
    ],
)
def test_a_value_that_pytest_refuses_is_named(
    project: pytest.Pytester, table: str, name: str, value: str, expected: str
) -> None:
    project.makepyfile(test_it=LOOK)
    project.makepyprojecttoml(f'[{table}]\nalignbench_{name} = "{value}"\n')
    wrong = project.runpytest_subprocess(*PLAIN)
    wrong.stderr.fnmatch_lines([f"ERROR: pyproject.toml: alignbench_{name}: expected {expected}*'{value}'"])


def test_a_number_may_be_a_word_where_there_is_one(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=LOOK)
    project.makepyprojecttoml('[tool.pytest.ini_options]\nalignbench_n_samples = "all"\n')
    values = project.runpytest_subprocess(*PLAIN, "--align-dataset=sample_data", "-k", "look")
    values.stdout.fnmatch_lines(["*values: * all *'--n-samples=all'*"])
    wrong = project.runpytest_subprocess(*PLAIN, "--n-samples=some")
    wrong.stderr.fnmatch_lines(["*--n-samples: expected a whole number, or all, got 'some'"])


def test_data_are_named_once(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=LOOK)
    both = project.runpytest_subprocess(*PLAIN, "--align-data=x.csv", "--align-data-root=y")
    both.stderr.fnmatch_lines(["*--align-data and --align-data-root both name data; give one of them"])
    project.makepyprojecttoml('[tool.pytest.ini_options]\nalignbench_data_root = "mine"\n')
    over = project.runpytest_subprocess(*PLAIN, "--align-data=sample_data", "-k", "look")
    over.stdout.fnmatch_lines(["*values: * None (*'--align-data=sample_data'*"])
