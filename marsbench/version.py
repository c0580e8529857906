"""The version of marsbench."""

__version__ = "0.1.0"
