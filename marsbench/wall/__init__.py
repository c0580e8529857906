"""One harness for the wall clock: what plays sessions, or real agents, against a real server."""
