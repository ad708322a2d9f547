"""How questions are kept: studies, their cases, and a store of answers.

A `Study` is a question with a name, a version and a `measure`; a `Case` is one instance of it.
`sweep` answers cases here or in other processes and keeps each answer as a `Record` in a
`Store`, so that a sweep that was killed goes on where it stopped. This room knows no
mathematics: no network, no loss, no JAX.
"""

from shallows.lab.answers import Answer, SweepError
from shallows.lab.cluster import Cluster
from shallows.lab.frames import records_frame
from shallows.lab.jobs import Job, Queue, job_file
from shallows.lab.merge import merge
from shallows.lab.origin import provenance
from shallows.lab.places import AbstractPlace, Here, Processes
from shallows.lab.query import query
from shallows.lab.store import (
    Damage,
    DamagedRecord,
    MissingRecord,
    NotAStore,
    NotKept,
    Store,
    StoreError,
)
from shallows.lab.study import Case, Record, Result, Study, key
from shallows.lab.sweep import Progress, sweep

__all__ = [
    "AbstractPlace",
    "Answer",
    "Case",
    "Cluster",
    "Damage",
    "DamagedRecord",
    "Here",
    "Job",
    "MissingRecord",
    "NotAStore",
    "NotKept",
    "Processes",
    "Progress",
    "Queue",
    "Record",
    "Result",
    "Store",
    "StoreError",
    "Study",
    "SweepError",
    "job_file",
    "key",
    "merge",
    "provenance",
    "query",
    "records_frame",
    "sweep",
]
