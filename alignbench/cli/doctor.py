"""`alignbench doctor`: what this machine has, what is missing, what a run would take, and what to do."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from alignbench.cli.listing import table
from alignbench.errors import AlignbenchError
from alignbench.memory import available_memory
from alignbench.units import duration_text, size_text
from alignbench.weights.custom import Custom

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from alignbench.encoders import Encoder
    from alignbench.llms import LLM

H = TypeVar("H", "Encoder", "LLM")

_SPARE = 2e9  # bytes of memory that the interpreter, torch and embeddings take beside a model
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_EXTRAS = {"gguf": "gguf", "quant": "bitsandbytes", "ui": "gradio"}


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor", help="versions, devices, cache and network; memory and minutes of each pair; what to do"
    )
    for option, what in (("--encoders", "vision encoders"), ("--llms", "LLMs")):
        parser.add_argument(option, nargs="+", action="extend", metavar="NAME", help=f"{what} to look at")
    parser.add_argument("--n-samples", type=int, default=90, metavar="N", help="samples in all (default: 90)")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="as for a run (default: auto)")
    parser.set_defaults(run=examine)


def examine(given: argparse.Namespace) -> int:
    """Print what was found; exit with 1 where something keeps a run from working."""
    from alignbench.config import load_config
    from alignbench.encoders import resolve as resolve_encoder
    from alignbench.findings.toys import toy_warnings
    from alignbench.llms import resolve as resolve_llm

    problems: list[str] = []
    for title, lines in (
        ("software", software()),
        ("machine", hardware(given.device)),
        ("storage", storage(problems)),
        ("network", network(problems)),
    ):
        for number, line in enumerate(lines):
            print(f"{title if number == 0 else '':<10}{line}")
    base = load_config()
    encoders = _models(
        "encoder",
        _names(given.encoders) or base.default_encoders,
        lambda name: resolve_encoder(name, sources=base.encoders),
        problems,
    )
    llms = _models(
        "LLM",
        _names(given.llms) or base.default_llms,
        lambda name: resolve_llm(name, sources=base.llms),
        problems,
    )
    print()
    if encoders and llms:
        print("\n".join(pairs(encoders, llms, given.n_samples, given.device)), end="\n\n")
    for encoder in encoders:
        if pixels := encoder.pixels:
            print(f"pixels    {encoder.name}: {pixels.said()}")
    handles: list[Encoder | LLM] = [*encoders, *llms]
    for note in (note for handle in handles for note in handle.notes):
        print(f"note      {note}")
    for sentence in toy_warnings([handle.info for handle in handles]):
        print(f"warning   {sentence}")
    for problem in problems:
        print(f"to do     {problem}")
    if not problems:
        print("all well  nothing to do")
    return int(bool(problems))


def software() -> Iterator[str]:
    """Yield versions, and which extras are installed."""
    from alignbench.session.environment import versions

    yield ", ".join(f"{name} {version}" for name, version in versions().items())
    for extra, module in _EXTRAS.items():
        if find_spec(module) is None:
            yield f"extra {extra} is not installed: pip install 'alignbench[{extra}]'"


def hardware(device: str) -> Iterator[str]:
    """Yield processor, memory, accelerators, and what `device` comes to."""
    from alignbench.session.environment import machine
    from alignbench.weights.precision import resolve_device

    found = machine()
    memory = available_memory()
    free = "" if memory is None else f", {size_text(memory)} of memory free"
    yield f"{found['system']}, {found['processor'] or 'processor unknown'}, {found['cores']} cores{free}"
    there = ", ".join(found["accelerators"]) or "none"
    yield f"accelerators: {there}; a run computes on {resolve_device(device)}"


def storage(problems: list[str]) -> Iterator[str]:
    """Yield where the cache is, its size, and the free space there."""
    from alignbench.paths import cache_home, exists, is_dir

    home = cache_home()
    there = next((place for place in (home, *home.parents) if exists(place)), home)
    if not is_dir(there):
        problems.append(
            f"the cache {home} can't be made: {there} is a file; set ALIGNBENCH_CACHE to a folder"
        )
        return
    used = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) if home.is_dir() else 0
    free = shutil.disk_usage(there).free
    yield f"cache {home}: {size_text(used)}, {size_text(free)} free"
    if free < 1e9:
        problems.append(f"less than 1 GB is free at {there}; make room, or set ALIGNBENCH_CACHE")


def network(problems: list[str]) -> Iterator[str]:
    """Yield whether the Hub can be asked; being offline is no problem by itself."""
    from alignbench.weights.hub import unreachable

    reason = unreachable()
    yield "the Hub answers" if reason is None else f"{reason}; what is at hand works without"


def pairs(encoders: Sequence[Encoder], llms: Sequence[LLM], n: int, device: str) -> list[str]:
    """Return the table of what each pair takes: one model is in memory at a time."""
    from alignbench.plugin.terminal import PendingModel, loading_seconds

    rows = []
    memory = available_memory()
    for encoder in encoders:
        for llm in llms:
            handles: tuple[Encoder | LLM, ...] = (encoder, llm)
            places = [handle.locate() for handle in handles]
            need = max(_memory(handle, device) for handle in handles) + _SPARE
            todo = [PendingModel(h.info, at, n, size=h.size()) for h, at in zip(handles, places, strict=True)]
            download = sum(at.download for at in places)
            fits = "" if memory is None or need < memory else "more than is free here"
            seconds = loading_seconds(todo, device)
            fetched = size_text(download) if download else "nothing"
            rows.append((encoder.name, llm.name, size_text(need), duration_text(seconds), fetched, fits))
    return table(("encoder", "LLM", "memory", "to embed", "download", ""), rows)


def _memory(handle: Encoder | LLM, device: str) -> float:
    """Return about how many bytes a model takes: its weights in the arithmetic that it will have."""
    located = handle.locate()
    stored = located.size or located.download
    dtype = handle.precision(device, "auto").name
    # Published checkpoints of this size are of two bytes a weight; computing in float32 doubles that.
    return float(stored) * (2 if dtype.startswith("float32") and stored > 1e9 else 1)


def _names(given: list[str] | None) -> tuple[str, ...]:
    return tuple(name for names in given or () for name in names.split(",") if name)


def _models(
    noun: str, names: tuple[str, ...], resolve: Callable[[str], H | Custom], problems: list[str]
) -> list[H]:
    """Return the models of ours among these, looked for and examined; what is wrong with others is noted."""
    models = []
    for name in names:
        try:
            model = resolve(name)
            if not isinstance(model, Custom):
                model.locate()
                model.examine()
                models.append(model)
        except AlignbenchError as error:
            problems.append(f"{noun} {name}: {_unsaid(str(error), name)}")
    return models


def _unsaid(text: str, name: str) -> str:
    """Return an error without what it begins with and the model's name has said."""
    head, _, rest = text.partition(": ")
    return _unsaid(rest, name) if rest and head in name else text
