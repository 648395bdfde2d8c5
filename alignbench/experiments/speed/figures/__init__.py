"""Figures of the experiment `speed`, with their captions."""
