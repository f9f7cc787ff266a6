"""Images as tasks of the experiments: digits, and colour images with the Glow."""
