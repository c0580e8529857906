"""The backends that the paper is about, and the two that the comparison adds."""

MARS = "mars"
PUBLISHED = "mars-published"
WHOLES = (MARS, PUBLISHED)
"""MARS twice: with a memory reservation that is ours, and the parts that its paper publishes."""
CONTROL = "fcfs-cap"
BOUND = "oracle"
KNOW_THE_FUTURE = (BOUND, "clairvoyant")
"""No server can run them: they show what is possible."""
# What the paper compares with: the scheduler it started from and the three systems before it.
BASELINES = ("fcfs", "autellix", "infercept", "infercept-static", "continuum", "continuum-static")
