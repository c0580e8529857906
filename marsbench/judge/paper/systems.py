"""The backends that the paper is about, and the two that the comparison adds."""

MARS = "mars"
CONTROL = "fcfs-cap"
BOUND = "oracle"
# What the paper compares with: the scheduler it started from and the three systems before it.
BASELINES = ("fcfs", "autellix", "infercept", "infercept-static", "continuum", "continuum-static")
