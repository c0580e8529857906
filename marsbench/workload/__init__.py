"""Workloads: recipes that make sessions, their file format, arrivals and importers."""
