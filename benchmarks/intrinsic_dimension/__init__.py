"""Who finds the intrinsic dimension of which manifolds: ``python benchmarks/run.py intrinsic-dimension``."""
