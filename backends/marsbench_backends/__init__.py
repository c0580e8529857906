"""The schedulers under test, loaded into an unmodified vLLM. Imports nothing of the harness."""
