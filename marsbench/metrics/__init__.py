"""Metrics: pure functions of events."""
