"""Runs side by side, paired by seed and session: what differs, by how much, and how surely.

    found = compare([Path("results/reproduce")], baseline="fcfs", alphas=(3.0,))
    frame(found.estimates)      # every figure of every backend at every place
    frame(found.differences)    # against the baseline, with intervals
    over_time = traces(found)   # evictions, KV usage and tools in flight over time

values    what a comparison says: rows, and the value that holds them
compare   the way from folders to that value
read      run folders, sweep folders and capacity searches into runs at places
figures   what is taken from a run: one number a figure
points    runs of one place, their seeds put together
intervals bootstrap intervals of means, differences and ratios
ranking   who is ahead, and whether that holds somewhere else
traces    what happened over time

Reads run folders and nothing else. docs/compare.md defines what docs/metrics.md does not.
"""

