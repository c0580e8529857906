"""From recordings to advice: which scheduler, what it is worth, how sure, how many GPUs.

options   what is asked
recorded  the recordings as sessions that one GPU can hold, cut at long pauses, and what is known
day       when a user begins sessions: the busy half of a recorded day
traffic   so many users for one GPU, at their load and at twice that: a file a load and seed
play      every backend on all of them, as a sweep's folder; the cap that is searched once
gpus      what one GPU carries
verdict   what follows
advise    the way from a recording to that
words, show, documents    as sentences, on a screen, as JSON

docs/advise.md says what is assumed.
"""
