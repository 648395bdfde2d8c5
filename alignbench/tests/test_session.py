"""A session of Python: the same selection, data and embeddings as those of a run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alignbench as ab
from alignbench.datasets import load_dataset
from alignbench.errors import AlignbenchError

TOYS: dict[str, Any] = {"encoders": ["mini-clip", "random-vit"], "llms": "mini-llama", "device": "cpu"}


@pytest.fixture(scope="module")
def session() -> ab.Session:
    return ab.Session(**TOYS, data="synthetic", n_samples=4, seed=1)


def test_models_and_data_are_asked_for_by_name(session: ab.Session) -> None:
    pair = session.pair("random-vit", "mini-llama")
    assert len(pair) == len(session.dataset)
    assert (pair.x.model.name, pair.y.model.name) == ("random-vit", "mini-llama")
    np.testing.assert_array_equal(pair.x.values, session.vision("random-vit").values)
    np.testing.assert_array_equal(pair.y.values, session.text(session.llms["mini-llama"]).values)
    assert session.pair("mini-clip", "random-vit").y.model.side == "vision"


@pytest.mark.slow
def test_a_data_set_is_taken_as_it_is(session: ab.Session) -> None:
    data = load_dataset("synthetic", n_per_type=4, seed=1)
    given = ab.Session(**TOYS, data=data)
    assert given.dataset is data
    assert [sample.id for sample in session.dataset.samples] == [sample.id for sample in data.samples]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.vision("mini-clap"), "unknown encoder 'mini-clap'. Did you mean 'mini-clip'"),
        (lambda s: s.text("mini-clip"), "unknown LLM 'mini-clip'"),
        (lambda s: s.pair("mini-clip", "x"), "unknown model 'x'"),
        (lambda s: ab.Session(encoders="nobody"), "unknown encoder 'nobody'"),
        (lambda s: ab.Session(encoders="smollm2-135m"), "^smollm2-135m is an LLM; give it to llms$"),
        (lambda s: ab.Session(encoders="mine = mini-llama"), "^mini-llama is an LLM; give it to llms$"),
        (lambda s: ab.Session(llms="random-vit"), "^random-vit is an encoder; give it to encoders$"),
        (lambda s: ab.Session(n_samples="30"), "n_samples: expected a whole number, got '30'"),  # type: ignore[arg-type]
        (lambda s: ab.Session(data=3), "data: expected a Dataset, a name or a path, got a int"),  # type: ignore[arg-type]
        (lambda s: ab.Session(data="x", data_root="y"), "data and data_root both name data"),
        (lambda s: ab.Session(**TOYS, groups="rows"), "groups: it is for rows of arrays"),
        (lambda s: ab.Session(s.options, seed=3), "seed: set it in the `options`"),
        (lambda s: s.run(), "name at least one experiment: cka, compare, "),
        (
            lambda s: s.run("cka").figure("speed_dashboard"),
            "figure .* do not allow it.*; it is a figure of speed",
        ),
        (lambda s: ab.Session(encoder="mini-clip"), "unknown option 'encoder'. Did you mean 'encoders'"),
    ],
)
def test_what_is_not_there_is_one_line(session: ab.Session, call: Any, says: str) -> None:
    with pytest.raises(AlignbenchError, match=f"^{says}") as error:
        call(session)
    assert "\n" not in str(error.value)


def test_a_notebook_shows_the_selection_and_nothing_is_read_for_it(session: ab.Session) -> None:
    unread = ab.Session(**TOYS, data="<b>")
    shown = unread._repr_html_()
    assert "dataset" not in vars(unread)
    assert "&lt;b&gt;, not read yet" in shown
    assert "<b>" not in shown
    for part in ("mini-clip: built-in toy model", "random-vit: ", session.dataset.describe()[0]):
        assert part in session._repr_html_()


@pytest.mark.slow
def test_the_example_of_the_page_works() -> None:
    page = (Path(__file__).parents[1] / "docs" / "library.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(import alignbench as ab\n.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert len(names["vectors"]) == len(names["pair"]) == 30


@pytest.mark.slow
def test_importing_alignbench_stays_cheap() -> None:
    code = "import sys, alignbench; alignbench.OPTIONS; print('numpy' in sys.modules, 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
