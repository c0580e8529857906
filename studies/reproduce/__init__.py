"""What the papers report beside what we measure: tables from the folders of sweeps.

systems   the backends that the paper is about
claims    what the paper reports, and our verdict on it
tables    the same as Markdown and CSV
"""
