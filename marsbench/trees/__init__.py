"""Which vLLM a process imports: the installed one, a release, a checkout, a revision of one.

tree           what is known of one: version, commit, hash of its scheduler's sources
asked          VERSION|PATH|PATH@REV as a tree, made where it is not there yet
release, wheel, checkout    how each kind comes into the cache folder
imported       the one of this process; sources says what of it decides a number
capabilities   what it can do, read from its sources
verdicts       whose fast loops and macro steps are proven equal
clock          the virtual clock inside vLLM's scheduler modules
"""
