"""The policies under test, one paper a file."""
