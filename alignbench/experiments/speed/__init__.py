"""Latency, throughput and memory of encoders, LLMs and metrics."""

from alignbench.experiments.speed.works import Work

__all__ = ["Work"]
