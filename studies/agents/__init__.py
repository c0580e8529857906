"""Real agents under several backends, and the recordings that ship."""
