"""The command line: every verb reads its options, calls one function, prints."""

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

STOPPED = "stopped; a run that had begun keeps its folder."
