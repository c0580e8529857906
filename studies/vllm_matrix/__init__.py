"""One saturated workload on several vLLMs: where their decisions differ (reports/vllm-matrix.md).

play        one vLLM, in a process of its own: the check of its shortcuts, then the runs
document    what came out, held against the pinned one
"""
