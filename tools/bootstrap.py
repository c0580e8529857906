"""Finds a Python that marsbench supports and hands over to environment.py.

No functions, annotations or new syntax on purpose: an old Python has to get far enough in this file
to say that it is old.
"""

import os
import shutil
import sys

SUPPORTED = ((3, 11), (3, 12), (3, 13))

if sys.version_info[:2] in SUPPORTED:
    PYTHON = sys.executable
else:
    found = [shutil.which("python{}.{}".format(*version)) for version in SUPPORTED]
    PYTHON = next(filter(None, found), "")
if not PYTHON:
    sys.exit(
        "marsbench needs Python 3.11, 3.12 or 3.13, and this is {}.{}: install one of them, "
        "or say where it is, as in `make setup PYTHON=/path/to/python3.12`.".format(
            *sys.version_info[:2]
        )
    )
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "environment.py")  # noqa: PTH100, PTH118, PTH120
os.execv(PYTHON, [PYTHON, SCRIPT, *sys.argv[1:]])
