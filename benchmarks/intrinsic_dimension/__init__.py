"""Benchmark of intrinsic-dimension estimators on known manifolds: ``python benchmarks/run.py intrinsic-dimension``."""
