"""normflows: its ``adapter``, its ``layers``, and the ``conversion`` of its flows to volume-preserving ones."""

from nflows_spread.hosts.normflows.adapter import HOST

__all__ = ["HOST"]
