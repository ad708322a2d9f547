"""How questions are kept: studies, their cases, and a store of answers.

A `Study` is a question with a name, a version and a `measure`; a `Case` is one instance of it.
`sweep` answers cases here or in other processes and keeps each answer as a `Record` in a
`Store`, so that a sweep that was killed goes on where it stopped. This room knows no
mathematics: no network, no loss, no JAX.
"""

from shallows.lab.origin import provenance
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
from shallows.lab.sweep import (
    AbstractPlace,
    Here,
    Processes,
    Progress,
    SweepError,
    sweep,
)

__all__ = [
    "AbstractPlace",
    "Case",
    "Damage",
    "DamagedRecord",
    "Here",
    "MissingRecord",
    "NotAStore",
    "NotKept",
    "Processes",
    "Progress",
    "Record",
    "Result",
    "Store",
    "StoreError",
    "Study",
    "SweepError",
    "key",
    "provenance",
    "sweep",
]
