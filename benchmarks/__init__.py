"""Measurements of speed and memory, each a command: python -m benchmarks.step and so on, from the root of the checkout."""
