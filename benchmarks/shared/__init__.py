"""What all benchmarks share: the record of a run, and training a thing once."""
