"""What the papers report beside what we measure: tables from the folders of sweeps.

documents   the paper's comparison, and rankings along what a sweep varies
readings    how far figures move over what a paper leaves open
agents      runs of real agents
"""
