"""Projectors: small networks from an encoder's space to an LLM's, trained many at a time.

Importing this imports no torch.
"""

PROJECTORS = ("linear", "mlp", "2layer_mlp", "cross_attention")
RIDGE = "ridge"
"""Squared error with a penalty on the weights: of linear projectors only, which are solved for it."""

LOSSES = (RIDGE, "contrastive", "cosine", "mse")


def loss_of(projector: str) -> str:
    """Return the loss of a projector where none is chosen: a linear one is solved, others are trained."""
    return RIDGE if projector == "linear" else "mse"


__all__ = ["LOSSES", "PROJECTORS", "RIDGE", "loss_of"]
