"""vLLM's own KV offloading to host memory: what it is set to, and a modelled worker that copies."""
