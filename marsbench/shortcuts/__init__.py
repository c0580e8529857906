"""vLLM's own loops, said faster for the one case that the simulator has. They decide nothing."""
