"""`make bench`: every benchmark, as Markdown for docs/benchmarks.md."""

from __future__ import annotations

from benchmarks import (
    explore,
    formats,
    gateway,
    host_memory,
    live_client,
    long_runs,
    policies,
    replicas,
    simulator,
    sweeps,
    tool_host,
)


def main() -> None:
    print("## The simulator\n")
    simulator.report()
    print("\n## Long runs\n")
    long_runs.report()
    print("\n## KV in host memory\n")
    host_memory.report()
    print("\n## Replicas\n")
    replicas.report(*replicas.SHORT)
    print("\n## A sweep on two cores\n")
    sweeps.report()
    print("\n## What a policy adds to a step\n")
    policies.main()
    print("\n## The gateway\n")
    gateway.main()
    print("\n## The live client\n")
    live_client.report()
    print("\n## Workloads as others' files\n")
    formats.report()
    print("\n## The page of a run\n")
    explore.report()
    print("\n## The tool host's model beside real processes\n")
    tool_host.main([])


if __name__ == "__main__":
    main()
