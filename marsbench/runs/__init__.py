"""A run is a folder, complete by itself: written as the run goes, readable after a kill.

run.json          what was asked for: every input, the versions, the commit
events.jsonl      what happened, in order, as it happened; events.jsonl.zst when the run is over
ideal.json        seconds that each session takes alone
decisions.json    how often the policy was asked, and answered other than vLLM would have
modes.json        seconds that the admission controller spent in each of its modes, if it has any
rounds.parquet    one row a round        ┐
sessions.parquet  one row a session      │ computed from the events when the run ends;
evictions.parquet one row a second       │ the same inputs give the same bytes
usage.parquet     one row a sample       │
summary.json      the figures, validity  ┘
wall.json         when, how long and on what machine it ran: differs from run to run
"""

from marsbench.runs.cautions import Caution, CautionNote
from marsbench.runs.config import RunConfig
from marsbench.runs.folder import RunFolder, RunWriter
from marsbench.runs.provenance import Provenance
from marsbench.runs.summary import RunSummary, run_summary

__all__ = [
    "Caution",
    "CautionNote",
    "Provenance",
    "RunConfig",
    "RunFolder",
    "RunSummary",
    "RunWriter",
    "run_summary",
]
