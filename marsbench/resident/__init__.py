"""A process that has imported vLLM and forks runs, so that the next one need not import it."""
