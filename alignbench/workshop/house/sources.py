"""Counts in the source files: lines, classes, names of experiments and options, and models without a type."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from alignbench.workshop.house.imports import Module

    Modules = Mapping[str, Module]

# Also as the last word of a longer name, such as `vision_model`.
_MODEL = re.compile(
    r"cls|(.*_)?(decoder|encoder|handle|head|llm|loaded|model|module|network|processor|projector|tokenizer|tower|"
    r"vision|visual|whole)"
)
# What only a model, a tokenizer or an image processor is asked for.
_ASKED = re.compile(
    r"(bos|eos|pad)_token(_id)?|embed|eval|forward(_.+)?|generate|get_(image|text)_features|"
    r"get_(in|out)put_embeddings|image_(mean|std)|named_parameters|parameters|"
    r"requires_grad_|save_pretrained|state_dict|tokenize"
)
LONG = 400  # the largest number of lines of a file
_COMPUTES = re.compile(r"_scores$|^score_")
_TIES = frozenset({"paired_p", "standings", "tie_groups"})
_BLANK = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


def place(module: Module, node: ast.AST) -> str:
    """Return the place of a piece of syntax, as `module:line`."""
    return f"{module.name}:{getattr(node, 'lineno', 1)}"


def lines(modules: Modules) -> int:
    """Return all lines of the modules."""
    return sum(len(module.text.splitlines()) for module in modules.values())


def lines_of_code(modules: Modules) -> int:
    """Return the lines that hold more than docstrings, comments and white space."""
    return sum(len(_code(module)) for module in modules.values())


def _code(module: Module) -> set[int]:
    numbers: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in _BLANK:
            numbers.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(module.tree):
        # A string that is its own statement is a docstring, of a module, class, function or constant.
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            numbers.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return numbers


def long_files(modules: Modules) -> list[str]:
    """Return the modules with more lines than a file may have."""
    counts = {name: len(module.text.splitlines()) for name, module in modules.items()}
    return [f"{name}: {count} lines" for name, count in counts.items() if count > LONG]


def repeated_classes(modules: Modules) -> list[str]:
    """Return the names that classes of several modules share."""
    homes = defaultdict(set)
    for name, module in modules.items():
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(name)
    return [f"{name}: {', '.join(sorted(where))}" for name, where in sorted(homes.items()) if len(where) > 1]


def mentions(modules: Modules, name: str) -> list[str]:
    """Return the modules whose text contains a name, even as a part of a longer one (`coral_scores`)."""
    word = re.compile(rf"(?<![a-z]){re.escape(name)}(?![a-z])", re.IGNORECASE)
    return [module.name for module in modules.values() if word.search(module.text)]


def pages(root: Path, name: str) -> list[str]:
    """Return README and the pages of docs that contain a name."""
    word = re.compile(rf"(?<![a-z]){re.escape(name)}(?![a-z])", re.IGNORECASE)
    files = [root / "README.md", *sorted((root / "alignbench" / "docs").glob("*.md"))]
    return [file.name for file in files if word.search(file.read_text(encoding="utf-8"))]


def declarations(modules: Modules, option: str) -> list[str]:
    """Return the places that write down an option: as a string in any spelling, or as an attribute.

    Only rooms that read or hold options count; a training of the projectors has its own epochs, and an
    experiment names the options that concern it.
    """
    spellings = {option, f"--{option}", f"--align-{option}", f"align_{option}", f"align-{option}"}
    spellings |= {spelling.replace("_", "-") for spelling in spellings}
    found = [
        place(module, node)
        for module in modules.values()
        if module.room in {"plugin", "session", "cli", "ui", "options"}
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Constant) and node.value in spellings) or option in _attributes(node)
    ]
    return list(dict.fromkeys(found))


def untyped_models(modules: Modules) -> list[str]:
    """Return the parameters and attributes that are models, but `Any` by their annotations.

    They are models by their names, or by what their function asks of them. So are tokenizers, processors of
    images and projectors.
    """
    found: set[str] = set()
    for module in modules.values():
        for node in ast.walk(module.tree):
            names = [node.arg] if isinstance(node, ast.arg) else _attributes(node)
            if isinstance(target := getattr(node, "target", None), ast.Attribute):
                names = [target.attr]  # self.name: Any
            annotation = getattr(node, "annotation", None)
            named = [name for name in names if _MODEL.fullmatch(name) and _is_any(annotation)]
            found |= {f"{place(module, node)} {name}" for name in named}
            if isinstance(node, ast.FunctionDef):
                used = _asked(node)
                untyped = [arg for arg in _parameters(node) if arg.arg in used and _is_any(arg.annotation)]
                found |= {f"{place(module, arg)} {arg.arg}" for arg in untyped}
    return sorted(found)


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    of = function.args
    return [*of.posonlyargs, *of.args, *of.kwonlyargs]


def _asked(function: ast.FunctionDef) -> set[str]:
    """Return the names of which a function asks what only models have."""
    return {
        node.value.id
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and _ASKED.fullmatch(node.attr)
    }


def _attributes(node: ast.AST) -> list[str]:
    """Return the plain names to which a statement assigns, or which it annotates."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _is_any(annotation: ast.expr | None) -> bool:
    """Return whether an annotation is or contains `Any`, other than as the values of a mapping."""
    names = set() if annotation is None else {n.id for n in ast.walk(annotation) if isinstance(n, ast.Name)}
    return "Any" in names and not names & {"Mapping", "dict"}


def probes(modules: Modules) -> list[str]:
    """Return where code probes an object's capabilities: `hasattr` and `callable(getattr(...))`."""
    return [
        place(module, call)
        for module in modules.values()
        for name, call in calls(module)
        if name == "hasattr" or (name == "callable" and "getattr" in ast.dump(call))
    ]


def deciders_of_ties(modules: Modules) -> list[str]:
    """Return the modules outside `stats` that find ties on their own."""
    return [
        name
        for name, module in modules.items()
        if module.room not in {"stats", "workshop", "measure"}
        and any(called in _TIES for called, _ in calls(module))
    ]


def orchestrations(modules: Modules) -> list[str]:
    """Return the rooms, and `benchmarks`, that compute the scores of more than one experiment.

    An experiment is a module with a benchmark of its name; shared modules do not count.
    """
    names = {name.removeprefix("benchmarks.test_") for name in modules}
    experiments = {
        node.name: module.name.split(".")[2]
        for module in modules.values()
        if module.room == "experiments" and module.name.split(".")[2:3] and module.name.split(".")[2] in names
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef) and _COMPUTES.search(node.name)
    }
    used: defaultdict[str, set[str]] = defaultdict(set)
    for module in modules.values():
        if module.room not in {"experiments", "workshop", "measure"}:
            used[module.room].update(experiments[name] for name, _ in calls(module) if name in experiments)
    return [f"{room}: {', '.join(sorted(names))}" for room, names in used.items() if len(names) > 1]


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call in a module with the last part of the called name."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", getattr(node.func, "id", "")), node
