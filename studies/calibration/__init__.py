"""How often the gate is wrong: its verdicts on draws from pools of simulated runs.

pool      the runs of a sweep, as paired samples of each figure: a policy as it is, and made worse
rates     verdicts on many draws of a few seeds, and how often intervals hold the truth
power     how many seeds a regression takes
document  the same as Markdown and CSV (reports/gate-calibration.md); tables, text: what is in it
"""
