"""The simulator: vLLM's own scheduler and KV cache manager in virtual time."""
