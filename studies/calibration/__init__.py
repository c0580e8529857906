"""How often the gate is wrong: its verdicts on draws from a pool of simulated runs.

pool      the runs of a sweep that varies step times, as paired samples of each figure
rates     verdicts on many draws of a few seeds, and how often intervals hold the truth
document  the same as Markdown and CSV (reports/gate-calibration.md)
"""
