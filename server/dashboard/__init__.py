"""The coordinator's dashboard: who is there, what was planned, how a run goes, what was released.

It shows files and starts or stops runs of approved plans; it has no voice of its own to any site.
"""
