"""The fidelity test: a real server and the simulator, given the same, beside each other."""
