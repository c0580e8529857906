"""Many runs, and what they come to: sweeps, comparisons, gates, a paper's claims."""
