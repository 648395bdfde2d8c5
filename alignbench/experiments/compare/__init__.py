"""Encoders compared: held-out projections, data types, samples that count, each other."""
