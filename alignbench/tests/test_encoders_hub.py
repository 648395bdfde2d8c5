"""The Hub and its local cache: what is at hand, what a download takes, what is refused."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import huggingface_hub
import numpy as np
import pytest
from huggingface_hub import constants, errors

from alignbench.encoders import resolve
from alignbench.errors import ModelError, WeightsMissingError
from alignbench.llms import resolve as resolve_llm
from alignbench.tests import tiny_models as tiny
from alignbench.tests.tiny_models import as_pickle, load
from alignbench.weights import hub
from alignbench.weights.source import HubSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


REPOSITORY = "org/tiny-clip"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(cache: Path, *, commit: str = "c0ffee", ref: str = "main", make: Any = tiny.clip) -> Path:
    """Lay a model into a Hub cache as the Hub's client does."""
    root = cache / f"models--{REPOSITORY.replace('/', '--')}"
    (root / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (root / "refs" / ref).write_text(commit, encoding="utf-8")
    made: Path = make(root / "snapshots" / commit)
    return made


def asked(
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, int],
    *,
    gated: Any = False,
    error: Exception | None = None,
    requests: Any = (),
    converted: dict[str, int] | None = None,
) -> None:
    """Let a Hub answer that has these files, or that raises."""

    class Api:
        def model_info(self, _repository: str, *, revision: str, **_: Any) -> Any:
            if error is not None:
                raise error
            there = (converted or {}) if revision.startswith("refs/pr/") else files
            siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in there.items()]
            return SimpleNamespace(siblings=siblings, sha="beef", gated=gated)

        def get_repo_discussions(self, *_: Any, **__: Any) -> Any:
            return iter(requests)

    monkeypatch.setattr(hub, "unreachable", lambda: None)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)


def test_what_the_cache_holds_needs_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(cache)
    monkeypatch.setattr(hub, "unreachable", lambda: pytest.fail("the network was asked"))
    handle: Any = resolve(f"hf:{REPOSITORY}")
    located = handle.locate()
    assert (located.revision, located.download, handle.info.family) == ("c0ffee", 0, "clip")
    assert handle.info.revision == "c0ffee"
    assert handle.embed(tiny.images(2)).shape == (2, 32)


def test_a_revision_is_taken_at_its_word(cache: Path) -> None:
    put(cache)
    put(cache, commit="0ld", ref="v1", make=tiny.dinov2)
    assert resolve(f"hf:{REPOSITORY}@v1").locate().revision == "0ld"
    assert resolve(f"hf:{REPOSITORY}@c0ffee").locate().revision == "c0ffee"


def test_a_conversion_to_safetensors_in_the_cache_is_used(cache: Path) -> None:
    as_pickle(put(cache))
    put(cache, commit="5afe", ref="refs/pr/7")
    assert resolve(f"hf:{REPOSITORY}").locate().revision == "5afe"


def test_a_half_downloaded_model_is_not_at_hand(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (put(cache) / "model.safetensors").unlink()
    monkeypatch.setattr(hub, "unreachable", lambda: "the Hub can't be reached (test)")
    with pytest.raises(WeightsMissingError, match="not in the local Hub cache"):
        resolve(f"hf:{REPOSITORY}").locate()


@pytest.mark.parametrize(
    ("find", "make", "missing"),
    [
        (resolve, tiny.clip, ("preprocessor_config.json", "processor_config.json")),
        (resolve_llm, tiny.llama, ("tokenizer.json", "tokenizer.model")),
    ],
)
def test_weights_without_preprocessing_are_not_at_hand(
    find: Any, make: Any, missing: tuple[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(cache, make=make)
    for name in missing:
        (folder / name).unlink(missing_ok=True)
    monkeypatch.setattr(hub, "unreachable", lambda: "the Hub can't be reached (test)")
    with pytest.raises(WeightsMissingError, match=f"without {missing[0]}.*hf download {REPOSITORY}"):
        find(f"hf:{REPOSITORY}").locate()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()} | {missing[0]: 77}
    asked(monkeypatch, sizes)
    monkeypatch.setattr(hub, "fetch", lambda _r, _v, name: folder / name)
    assert find(f"hf:{REPOSITORY}").locate().download == 77


def test_what_the_repository_lacks_is_not_downloaded_again(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(cache)
    (folder / "preprocessor_config.json").unlink()
    asked(monkeypatch, {path.name: path.stat().st_size for path in folder.iterdir()})
    monkeypatch.setattr(hub, "fetch", lambda _r, _v, name: folder / name)
    handle: Any = resolve(f"hf:{REPOSITORY}")
    assert handle.locate().download == 0
    with pytest.raises(ModelError, match=r"no usable preprocessor_config\.json"):
        handle.load("cpu", "float32")


def test_a_snapshot_of_timm_needs_no_processor(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(cache)
    for path in folder.iterdir():
        if path.name != "model.safetensors":
            path.unlink()
    (folder / "config.json").write_text('{"architecture": "test_vit"}', encoding="utf-8")
    monkeypatch.setattr(hub, "unreachable", lambda: pytest.fail("the network was asked"))
    assert resolve(f"hf:{REPOSITORY}").locate().at_hand


def test_the_size_of_the_download_is_known_before_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(cache)
    (folder / "model.safetensors").unlink()
    files = {
        "config.json": 100,
        "preprocessor_config.json": 10,
        "model.safetensors": 5000,
        "flax.msgpack": 9000,
    }
    asked(monkeypatch, files)
    monkeypatch.setattr(hub, "fetch", lambda _r, _v, name: folder / name)
    located = resolve(f"hf:{REPOSITORY}").locate()
    assert (located.download, located.revision, located.at_hand) == (5000, "beef", False)


def test_only_the_shards_that_are_needed_count(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(cache, make=tiny.paligemma)
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"vision_tower.x": "a.safetensors", "language_model.y": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    files = {"config.json": 1, "model.safetensors.index.json": 1, "a.safetensors": 30, "b.safetensors": 4000}
    asked(monkeypatch, files)
    monkeypatch.setattr(hub, "fetch", lambda _r, _v, name: folder / name)
    assert resolve(f"hf:{REPOSITORY}").locate().download == 30


def refusal(cls: type[Exception]) -> Exception:
    """Return an error of the Hub's client without the HTTP response that its constructor asks for."""
    error = cls.__new__(cls)
    error.args = ("no",)
    return error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: refusal(errors.GatedRepoError), "gated: accept its terms"),
        (lambda: refusal(errors.RepositoryNotFoundError), "no such repository"),
        (lambda: refusal(errors.RevisionNotFoundError), "no such revision"),
        (lambda: refusal(errors.HFValidationError), "not a repository name"),
        (lambda: OSError("a\nlong\nstory"), "the Hub did not deliver .OSError: a."),
    ],
)
def test_what_the_hub_refuses_is_one_line_with_the_way_out(
    make: Callable[[], Exception], message: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(monkeypatch, {}, error=make())
    with pytest.raises(WeightsMissingError, match=message) as caught:
        resolve(f"mine=hf:{REPOSITORY}").locate()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"mine: {REPOSITORY}: ")


def test_a_gated_repository_is_found_out_before_the_download(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def head(*_: Any, **__: Any) -> Any:
        raise refusal(errors.GatedRepoError)

    asked(monkeypatch, {"config.json": 1, "model.safetensors": 2}, gated="manual")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", head)
    with pytest.raises(WeightsMissingError, match=r"gated: accept its terms.*HF_TOKEN"):
        resolve(f"hf:{REPOSITORY}").locate()


def test_loading_downloads_what_is_missing(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    origin = tiny.clip(tmp_path / "origin")
    sizes = {path.name: path.stat().st_size for path in origin.iterdir()}
    fetched = []

    def fetch(_repository: str, revision: str, name: str) -> Path:
        root = cache / "models--org--tiny-clip"
        (root / "refs").mkdir(parents=True, exist_ok=True)
        (root / "refs" / revision).write_text("beef", encoding="utf-8")
        target = root / "snapshots" / "beef" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((origin / name).read_bytes())
        fetched.append(name)
        return target

    asked(monkeypatch, sizes)
    monkeypatch.setattr(hub, "fetch", fetch)
    handle: Any = resolve(f"hf:{REPOSITORY}")
    assert handle.locate().download == sum(sizes.values()) - sizes["config.json"]  # read to know the family
    assert "model.safetensors" not in fetched
    handle.load("cpu", "float32")
    assert "model.safetensors" in fetched
    assert handle.locate().at_hand
    np.testing.assert_array_equal(handle.embed(tiny.images(2)), load(origin).embed(tiny.images(2)))


@pytest.mark.parametrize(("author", "taken"), [("SFconvertbot", True), ("stranger", False)])
def test_only_the_hubs_own_conversion_is_taken(
    author: str, taken: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(cache)
    (folder / "model.safetensors").unlink()
    request = SimpleNamespace(
        author=author, title="Adding `safetensors` variant of this model", status="open", num=9
    )
    asked(
        monkeypatch,
        {"config.json": 1, "pytorch_model.bin": 2},
        requests=[request],
        converted={"config.json": 1, "model.safetensors": 77},
    )
    monkeypatch.setattr(hub, "fetch", lambda _r, _v, name: folder / name)
    if taken:
        assert resolve(f"hf:{REPOSITORY}").locate().download == 78
    else:
        with pytest.raises(ModelError, match="a pickle"):
            resolve(f"hf:{REPOSITORY}").locate()


def test_a_repository_of_pickles_names_the_way_out(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, {"config.json": 1, "pytorch_model.bin": 2})
    with pytest.raises(WeightsMissingError, match=r"a pickle.*--align-allow-pickle"):
        resolve(f"hf:{REPOSITORY}").locate()


def test_a_hub_that_never_answers_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    answer = threading.Event()
    monkeypatch.setattr(hub, "session_head", lambda _seconds: answer.wait())
    hub.unreachable.cache_clear()
    try:
        assert "no answer within" in str(hub.unreachable())
        assert "no answer within" in str(hub.unreachable())
    finally:
        hub.unreachable.cache_clear()
        answer.set()


def test_offline_mode_is_named_as_the_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.unreachable.cache_clear()
    try:
        with pytest.raises(WeightsMissingError, match="HF_HUB_OFFLINE is set"):
            HubSource(REPOSITORY).locate()
    finally:
        hub.unreachable.cache_clear()
