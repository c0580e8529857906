"""Routers, schedulers and numbers of replicas against each other: `python -m studies.routers`."""
