"""Live runs: sessions played on the wall clock against an OpenAI-compatible server."""
