"""Figures of the experiment `coral`, with their captions."""
