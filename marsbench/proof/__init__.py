"""Whether the shortcuts give the events of vLLM's own loops and steps, on the vLLM imported here.

worlds      small random runs under memory pressure
check       plays each of them in every way, and says where the first difference is
"""
