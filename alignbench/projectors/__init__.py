"""Projectors: small networks from an encoder's space to an LLM's, trained many at a time.

Importing this imports no torch.
"""

PROJECTORS = ("linear", "mlp", "2layer_mlp", "cross_attention")
LOSSES = ("contrastive", "cosine", "mse")

__all__ = ["LOSSES", "PROJECTORS"]
