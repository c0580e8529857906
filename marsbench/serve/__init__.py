"""Serving: vLLM's own server with a backend in it, on a GPU or on an emulated one."""
