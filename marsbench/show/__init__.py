"""One thing on a screen: a run, a sweep as it goes, a workload, hardware, a backend."""
