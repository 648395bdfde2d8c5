"""Projectors: small networks from an encoder's space to an LLM's, trained many at a time.

Importing this package imports no torch.
"""

OF_PATCHES = "cross_attention"
"""The projector that reads the patches of an image; the others read its embedding."""

PROJECTORS = ("linear", "mlp", "2layer_mlp", OF_PATCHES)
RIDGE = "ridge"
"""Squared error with a penalty on the weights; only for linear projectors, which are solved for it."""

LOSSES = (RIDGE, "contrastive", "cosine", "mse")


def loss_of(projector: str) -> str:
    """Return a projector's default loss: a linear one is solved, others are trained."""
    return RIDGE if projector == "linear" else "mse"


__all__ = ["LOSSES", "OF_PATCHES", "PROJECTORS", "RIDGE", "loss_of"]
