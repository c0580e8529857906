"""`python -m marsbench` is the command line."""

from marsbench.cli import main

main()
