"""Baselines, which the spread flow is compared with: fixed prior, CEF, LIDL; and a VAE as a source of data."""
