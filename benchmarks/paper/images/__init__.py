"""Images as data sets of the experiments: digits, and colour images with the Glow."""
