"""Many runs from one file: every combination of what it lists, each a run folder of its own.

spec     the file, as a person writes it
cells    the file as a list of runs to make
inputs   what decides a cell's result, as one hash
folder   where they go: what is there, what is complete
play     makes one of them, in a worker
workers  a few processes that each import the simulator once and make many
"""
