"""Several engines behind a router, on one virtual clock (docs/replicas.md).

replica.py    one engine whose steps are planned first and taken when something reaches it
fleet.py      N of them, one stream of sessions, one heap of what is due
view.py       what the router is shown: its own placements, and reports that may be old
router.py     what a router is; registry.py which there are; routers/ one rule a file
"""
