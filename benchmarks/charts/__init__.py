"""Benchmark of charts, what a dimension is for, beside other methods: ``python benchmarks/run.py charts``."""
