"""nflows: its ``adapter``, its ``layers``, and the ``conversion`` of its transforms to volume-preserving ones."""

from nflows_spread.hosts.nflows.adapter import HOST

__all__ = ["HOST"]
