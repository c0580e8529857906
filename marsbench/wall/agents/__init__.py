"""Real OpenHands agents on the wall clock: their sessions, tools and edits against any server."""
