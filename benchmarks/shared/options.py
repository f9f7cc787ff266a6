"""Options that several commands have, each checked before the work and not after it."""

from __future__ import annotations

import argparse

from nflows_spread import validation


def minutes(text: str) -> float:
    """A finite number above 0, for ``argparse``."""
    try:
        return validation.positive("the number of minutes", float(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
