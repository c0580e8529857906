"""A run as one HTML page: lanes, memory, who evicted whom, and each session's story."""
