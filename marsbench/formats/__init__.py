"""Recordings of others as sessions, and sessions as files of others (docs/formats.md).

An importer reads one format and gives back sessions, and a sentence for each thing it left out.
It never guesses a length or a time: what was not recorded is stated by an option, or missed.
"""
