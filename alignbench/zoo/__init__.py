"""The embedded models: small, real members of five families, trained on drawings.

`python -m alignbench.zoo train NAME` trains one; `check NAME` measures it on held-out drawings and writes
its card.
"""
