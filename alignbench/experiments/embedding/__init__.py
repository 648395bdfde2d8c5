"""Embedding space in two dimensions."""
