"""Experiments: functions over pairs of embeddings that return scores and what their figures need."""
