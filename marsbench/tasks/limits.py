"""Runs a command under limits of time and memory, alone: limits.py SECONDS MEGABYTES COMMAND.

A script of its own, since limits are set in the process that they bind, before the command.
"""

import math
import os
import resource
import sys

if __name__ == "__main__":
    seconds, megabytes, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    cpu_s = math.ceil(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.execvp("bash", ["bash", "-c", command])  # noqa: S606, S607
