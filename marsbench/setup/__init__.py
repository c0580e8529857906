"""Sets an environment up to play runs: vLLM's scheduler at locked versions, without its CUDA stack.

Standard library only, since a clone's own set-up (tools/environment.py) runs it before anything is
installed.
"""
