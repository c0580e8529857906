"""What no schedule can pass: at least so much mean latency, at most so many good sessions.

    found = bounds(workload, hardware, settings, tool_cores, ideal_s, alphas)
    found.mean_latency_s, found.good[3.0], found.num_sessions

docs/bounds.md has the lemma, its proof and what it leaves out.
"""

from marsbench.bounds.bound import Bounds, bounds

__all__ = ["Bounds", "bounds"]
