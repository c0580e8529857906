"""The command line: every verb reads its options, calls one function, prints."""
