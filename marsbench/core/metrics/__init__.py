"""What the sessions experienced: pure functions of the information stream.

Nothing here knows which engine wrote the events, and nothing needs vLLM. docs/metrics.md states
every definition with its formula, unit and source.
"""
