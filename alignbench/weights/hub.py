"""The Hugging Face Hub: its local cache, and short queries with a time limit."""

from __future__ import annotations

import functools
import queue
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alignbench.errors import ModelError, WeightsMissingError
from alignbench.weights.files import CONFIGS, PREPROCESSING, choose_weights, is_index, read_json, shards
from alignbench.weights.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
# A run reports missing files at once: users should not wait for retries.
ANSWER_SECONDS = 5.0
_CONVERSION = ("SFconvertbot", "Adding `safetensors` variant of this model")


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository that one model needs.

    Args:
        repository: `org/name`.
        revision: the branch, tag or pull request that they come from.
        commit: the revision's current commit.
        sizes: file name -> bytes.
        bytes_to_fetch: the bytes of the files that the local cache lacks.
    """

    repository: str
    revision: str
    commit: str
    sizes: dict[str, int]
    bytes_to_fetch: int


def cached_snapshots(repository: str, revision: str | None) -> list[Path]:
    """Return the folders of the local cache that hold a revision, the requested one first.

    Without a revision, the Hub's own conversions to safetensors (pull requests that were fetched) come next.
    """
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    names = [revision or "main"]
    if revision is None:
        names += sorted(f"refs/pr/{path.name}" for path in (root / "refs" / "refs" / "pr").glob("*"))
    commits = []
    for name in names:
        ref = root / "refs" / name
        commits.append(ref.read_text(encoding="utf-8").strip() if ref.is_file() else name)
    folders = [root / "snapshots" / commit for commit in dict.fromkeys(commits)]
    return [folder for folder in folders if folder.is_dir()]


def list_files(
    repository: str, revision: str | None, *, wanted: tuple[str, ...] | None, prefer: str, allow_pickle: bool
) -> Listing:
    """Ask the Hub which files a model needs and how large they are. This downloads only the configuration.

    Raises:
        WeightsMissingError: no network, no such repository, gated, no weights in it, or only a pickle.
    """
    if (reason := unreachable()) is not None:
        raise WeightsMissingError(
            f"not in the local Hub cache, and {reason}; with a network, run `hf download {repository}` once"
        )
    used = revision or "main"
    info = _ask(repository, used, "info")
    names = {file.rfilename for file in info.siblings}
    try:
        chosen = choose_weights(names, prefer=prefer, allow_pickle=allow_pickle, where=repository)
    except ModelError as error:
        conversion = _conversion(repository) if revision is None else None
        if conversion is None:
            raise WeightsMissingError(str(error)) from error
        used, info = conversion, _ask(repository, conversion, "info")
        names = {file.rfilename for file in info.siblings}
        chosen = choose_weights(names, prefer=prefer, allow_pickle=allow_pickle, where=repository)
    small = [name for name in (*CONFIGS, *PREPROCESSING) if name in names]
    indices = [chosen] if is_index(chosen) else []
    if not small or not set(CONFIGS) & set(small):
        raise WeightsMissingError("the repository has no config.json; give one in the transformers layout")
    for name in (*CONFIGS, *indices):
        if name in names:
            fetch(repository, used, name)
    sizes = {file.rfilename: int(file.size or 0) for file in info.siblings}
    weights = [chosen]
    if indices:
        index = read_json(fetch(repository, used, chosen))
        weights = shards(index, wanted, name=chosen, where=repository)
    needed = {name: sizes.get(name, 0) for name in (*small, *indices, *weights)}
    have = cached_snapshots(repository, used)
    missing = sum(
        size for name, size in needed.items() if not any((folder / name).is_file() for folder in have)
    )
    return Listing(repository, used, str(info.sha), needed, missing)


def download(listing: Listing) -> None:
    """Download the files of a listing into the local cache.

    Raises:
        WeightsMissingError: the network, the disk or the licence prevents it.
    """
    for name in listing.sizes:
        fetch(listing.repository, listing.revision, name)


@functools.cache
def unreachable() -> str | None:
    """Return why the Hub can't be reached, or None. It is determined once per process, within seconds."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        _within(ANSWER_SECONDS, lambda: session_head(ANSWER_SECONDS))
    except (
        Exception
    ) as error:  # the HTTP library's own hierarchy, which differs between versions of the Hub's client
        return f"the Hub can't be reached ({_short(error)})"
    return None


def session_head(seconds: float) -> None:
    """Query the Hub, and return once it answers or some seconds have passed."""
    from huggingface_hub import constants, get_session

    get_session().head(constants.ENDPOINT, timeout=seconds)


def _ask(repository: str, revision: str, what: str) -> Any:
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    api = HfApi()

    def question() -> Any:
        if what == "conversions":
            return list(
                api.get_repo_discussions(repository, author=_CONVERSION[0], discussion_type="pull_request")
            )
        info = api.model_info(repository, revision=revision, files_metadata=True, timeout=ANSWER_SECONDS)
        if getattr(info, "gated", False):
            # The file list of a gated repository is public; its files are not.
            get_hf_file_metadata(
                hf_hub_url(repository, "config.json", revision=revision), timeout=ANSWER_SECONDS
            )
        return info

    try:
        return _within(3 * ANSWER_SECONDS, question)
    except Exception as error:
        raise WeightsMissingError(explained(error, repository)) from error


def fetch(repository: str, revision: str, name: str) -> Path:
    """Return a file of a repository, downloading it if it is not in the cache.

    Raises:
        WeightsMissingError: it can't be obtained.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, name, revision=revision, etag_timeout=ANSWER_SECONDS))
    except Exception as error:
        raise WeightsMissingError(explained(error, repository)) from error


def _conversion(repository: str) -> str | None:
    author, title = _CONVERSION
    for request in _ask(repository, "main", "conversions"):
        if (request.author, request.title) == (author, title) and request.status in {"open", "merged"}:
            return f"refs/pr/{request.num}"
    return None


def explained(error: BaseException, repository: str) -> str:
    """Return in one line what is wrong with a repository, and what to do about it."""
    from huggingface_hub import errors

    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__

    def is_a(*kinds: type[BaseException]) -> bool:
        return any(isinstance(link, kinds) for link in chain)

    # Gated comes first: it is a kind of "not found" in the Hub's own hierarchy.
    if is_a(errors.GatedRepoError):
        return "gated: accept its terms on the model's page, then run `hf auth login` or set HF_TOKEN"
    if is_a(errors.RevisionNotFoundError):
        return "there is no such revision in that repository"
    if is_a(errors.RepositoryNotFoundError):
        return "no such repository, or a private one: check the name, or set HF_TOKEN"
    if is_a(errors.HFValidationError):
        return "that is not a repository name; for a folder, give a path that exists"
    return f"the Hub did not deliver ({_short(error)}); with a network, run `hf download {repository}` once"


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {printable(lines[0])[:120]}" if lines else type(error).__name__


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return `call()`, or raise TimeoutError: a hanging name server ignores every other time limit."""
    answers: queue.Queue[tuple[T | None, Exception | None]] = queue.Queue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except Exception as error:  # handed over to the caller's thread
            answers.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]
