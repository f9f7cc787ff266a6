"""Benchmark of the rivals that the paper names, at equal processor time: ``python benchmarks/run.py rivals``."""
