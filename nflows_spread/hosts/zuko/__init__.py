"""zuko: its ``adapter``, its ``layers``, and the ``conversion`` of its transforms to volume-preserving ones."""

from nflows_spread.hosts.zuko.adapter import HOST

__all__ = ["HOST"]
