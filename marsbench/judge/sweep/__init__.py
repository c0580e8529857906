"""Many runs from one file: every combination of what it lists, each a run folder of its own.

spec     the file, as a person writes it
cells    the file as a list of runs to make
folder   where they go: what is there, what is complete
refine   which of them get all seeds, where that is asked for
play     what decides one of them, as one hash, and makes it, in a worker
search, probes, capacity, answer    the highest rate that is still good
workers  a few processes that each import the simulator once and make many
"""
