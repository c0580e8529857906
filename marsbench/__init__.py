"""marsbench: the neutral referee for LLM serving schedulers under coding agents."""

__version__ = "0.1.0"
