"""Count width and parameters of the models with names, on networks without numbers; store them for `list`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from alignbench.weights.facts import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alignbench.encoders.networks import TimmModel


@dataclass(frozen=True, slots=True)
class Network:
    """A network with the sizes that its config.json on the Hub gives.

    Args:
        model: transformers' class of what is counted: a vision tower, or an LLM without its head.
        config: the class of its configuration.
        sizes: the entries that differ from that class's defaults.
    """

    model: str
    config: str
    sizes: Mapping[str, Any] = field(default_factory=dict)

    def counted(self) -> tuple[int, int]:
        """Return the width and the number of parameters."""
        import torch
        import transformers

        config = getattr(transformers, self.config)(**self.sizes)
        with torch.device("meta"):
            network = getattr(transformers, self.model)(config)
        return config.hidden_size, sum(weight.numel() for weight in network.parameters())


@dataclass(frozen=True, slots=True)
class TimmNetwork:
    """A network of timm without its classifier.

    Args:
        name: its name.
    """

    name: str

    def counted(self) -> tuple[int, int]:
        """Return the width and the number of parameters."""
        import timm
        import torch

        with torch.device("meta"):
            network = cast("TimmModel", timm.create_model(self.name, pretrained=False, num_classes=0))
        return network.num_features, sum(weight.numel() for weight in network.parameters())


def networks() -> dict[str, Network | TimmNetwork]:
    """Return repository -> its network, of the models with names."""
    entries = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {
        repository: TimmNetwork(entry["timm"]) if "timm" in entry else Network(**entry)
        for repository, entry in entries.items()
    }


def main(argv: list[str]) -> None:
    """Rewrite the counted entries of `alignbench/weights/published.json`; the others stay as they are."""
    argparse.ArgumentParser(prog="python -m alignbench.measure facts", description=__doc__).parse_args(argv)
    facts = json.loads(TABLE.read_text(encoding="utf-8"))
    for repository, network in networks().items():
        width, parameters = network.counted()
        print(f"{repository}: width {width}, {parameters:,} parameters", flush=True)
        facts[repository] = {**facts.get(repository, {}), "width": width, "parameters": parameters}
    TABLE.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
