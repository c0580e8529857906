"""What the papers report beside what we measure: tables from the folders of sweeps.

figures   what is taken from a run's summary
points    runs of one place in the matrix, their seeds put together
ranking   who is ahead, and whether that holds somewhere else
claims    what the paper reports, and our verdict on it
tables    the same as Markdown and CSV
"""
