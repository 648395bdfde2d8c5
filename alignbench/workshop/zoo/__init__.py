"""The trainings of the built-in models and of the lineages that the validity study compares."""
