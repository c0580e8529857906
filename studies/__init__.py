"""Our own studies: commands of their own, outside the wheel."""
