"""`alignbench doctor`: checks this machine and the models, and estimates what a run would take."""

from __future__ import annotations

import shutil
from functools import partial
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

_SPARE = 2e9  # bytes of memory for the interpreter, torch and embeddings
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_EXTRAS = {"gguf": "gguf", "quant": "bitsandbytes", "ui": "gradio"}


def add_commands(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="check versions, devices, cache, network and models; memory and time of each pair",
        description="Check what a run needs here: versions, devices, the cache, the network, and with "
        "--encoders and --llms the models, with the memory and the time that each pair takes.",
    )
    for option, noun in (("--encoders", "vision encoders"), ("--llms", "LLMs")):
        parser.add_argument(option, nargs="+", action="extend", metavar="NAME", help=f"{noun} to check")
    parser.add_argument("--n-samples", type=int, default=90, metavar="N", help="samples in all (default: 90)")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="as for a run (default: auto)")
    parser.set_defaults(run=examine)


def examine(arguments: argparse.Namespace) -> int:
    """Print the checks; exit with 1 if something keeps a run from working."""
    from alignbench.config import load_config
    from alignbench.encoders import resolve as resolve_encoder
    from alignbench.findings.toys import toy_warnings
    from alignbench.llms import resolve as resolve_llm

    problems: list[str] = []
    sections = (
        ("software", software()),
        ("machine", hardware(arguments.device)),
        ("storage", storage(problems)),
        ("network", network(problems)),
    )
    for title, lines in sections:
        for number, line in enumerate(lines):
            print(f"{title if number == 0 else '':<10}{line}")
    config = load_config()
    names = _names(arguments.encoders) or config.default_encoders
    encoders = _models("encoder", names, partial(resolve_encoder, sources=config.encoders), problems)
    names = _names(arguments.llms) or config.default_llms
    llms = _models("LLM", names, partial(resolve_llm, sources=config.llms), problems)
    print()
    if encoders and llms:
        print("\n".join(pairs(encoders, llms, arguments.n_samples, arguments.device)), end="\n\n")
    for encoder in encoders:
        if pixels := encoder.pixels:
            print(f"pixels    {encoder.name}: {pixels.said()}")
    handles: list[Encoder | LLM] = [*encoders, *llms]
    for handle in handles:
        for note in handle.notes:
            print(f"note      {note}")
    for sentence in toy_warnings([handle.info for handle in handles]):
        print(f"warning   {sentence}")
    for problem in problems:
        print(f"to do     {problem}")
    if not problems:
        print("all well  nothing to do")
    return int(bool(problems))


def software() -> Iterator[str]:
    """Yield the versions, and the extras that are not installed."""
    from alignbench.session.environment import versions

    yield ", ".join(f"{name} {version}" for name, version in versions().items())
    for extra, module in _EXTRAS.items():
        if find_spec(module) is None:
            yield f"extra {extra} is not installed: pip install 'alignbench[{extra}]'"


def hardware(device: str) -> Iterator[str]:
    """Yield processor, memory, accelerators, and the device that `device` stands for."""
    from alignbench.session.environment import machine
    from alignbench.weights.precision import resolve_device

    here = machine()
    memory = available_memory()
    free = "" if memory is None else f", {size_text(memory)} of memory free"
    yield f"{here['system']}, {here['processor'] or 'processor unknown'}, {here['cores']} cores{free}"
    accelerators = ", ".join(here["accelerators"]) or "none"
    yield f"accelerators: {accelerators}; a run computes on {resolve_device(device)}"


def storage(problems: list[str]) -> Iterator[str]:
    """Yield the place of the cache, its size, and the free space there."""
    from alignbench.paths import cache_home, exists, is_dir

    home = cache_home()
    nearest = next((place for place in (home, *home.parents) if exists(place)), home)
    if not is_dir(nearest):
        problems.append(
            f"the cache {home} can't be created: {nearest} is a file; set ALIGNBENCH_CACHE to a folder"
        )
        return
    used = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    free = shutil.disk_usage(nearest).free
    yield f"cache {home}: {size_text(used)}, {size_text(free)} free"
    if free < 1e9:
        problems.append(f"less than 1 GB is free at {nearest}; make room, or set ALIGNBENCH_CACHE")


def network(problems: list[str]) -> Iterator[str]:
    """Yield whether the Hub can be reached; to be offline is not a problem by itself."""
    from alignbench.weights.hub import unreachable

    reason = unreachable()
    yield "the Hub answers" if reason is None else f"{reason}; models that are at hand work without it"


def pairs(encoders: Sequence[Encoder], llms: Sequence[LLM], n: int, device: str) -> list[str]:
    """Return the table of the memory, time and download of each pair; one model is in memory at a time."""
    from alignbench.plugin.terminal import PendingModel, model_seconds

    rows = []
    memory = available_memory()
    for encoder in encoders:
        for llm in llms:
            handles: tuple[Encoder | LLM, ...] = (encoder, llm)
            places = [handle.locate() for handle in handles]
            need = max(handle.footprint(device, "auto").weights for handle in handles) + _SPARE
            todo = [PendingModel(h.info, at, n, size=h.size()) for h, at in zip(handles, places, strict=True)]
            download = sum(at.download for at in places)
            fits = "" if memory is None or need < memory else "more than is free here"
            seconds = sum(model_seconds(model, device) for model in todo)
            fetched = size_text(download) if download else "nothing"
            rows.append((encoder.name, llm.name, size_text(need), duration_text(seconds), fetched, fits))
    return table(("encoder", "LLM", "memory", "to embed", "download", ""), rows)


def _names(lists: list[str] | None) -> tuple[str, ...]:
    return tuple(name for names in lists or () for name in names.split(",") if name)


def _models(
    noun: str, names: tuple[str, ...], resolve: Callable[[str], H | Custom], problems: list[str]
) -> list[H]:
    """Return the models that could be found and examined, without custom ones; add errors to the problems."""
    models = []
    for name in names:
        try:
            model = resolve(name)
            if not isinstance(model, Custom):
                model.locate()
                model.examine()
                models.append(model)
        except AlignbenchError as error:
            problems.append(f"{noun} {name}: {_without_prefix(str(error), name)}")
    return models


def _without_prefix(text: str, name: str) -> str:
    """Return the text of an error without parts of the model's name at its beginning."""
    head, _, rest = text.partition(": ")
    return _without_prefix(rest, name) if rest and head in name else text
