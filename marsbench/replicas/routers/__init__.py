"""One rule a file; the header names its source, and what is not modelled."""
