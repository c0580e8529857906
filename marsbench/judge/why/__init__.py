"""Where each second of a session's slowdown went: completion - ideal, by cause (docs/why.md)."""
