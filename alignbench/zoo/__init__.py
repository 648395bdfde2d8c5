"""The built-in models and the lineages of the validity study: how each is built, in plain numbers.

`python -m alignbench.zoo train NAME` trains one, in a clone; `check NAME` measures it on held-out drawings
and writes its card.
"""
