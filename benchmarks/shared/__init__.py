"""What all benchmarks share: command-line frame, options, record of a run, tables, and training a thing once."""
