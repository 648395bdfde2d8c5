"""Figures of the experiment `compare`, with their captions."""
