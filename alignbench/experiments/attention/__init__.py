"""Attention maps: where encoders look, and what they find where."""
