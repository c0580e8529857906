"""The adapter: what stands between a policy and an unmodified vLLM."""
