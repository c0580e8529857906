"""How often the interval of `marsbench.judge.intervals` holds the truth, by simulation.

families  distributions like those of our figures, whose truth is known
others    the intervals that were tried instead
measure   how often each holds the truth, and how often a verdict is given
document  the same as Markdown and CSV (reports/coverage.md)
"""
