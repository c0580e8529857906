"""A run's results in the formats of other tools, so that their dashboards and gates read them.

What a run did not measure is null or left out, never 0.
"""
