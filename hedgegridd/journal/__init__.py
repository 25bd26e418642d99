"""The journal: append-only, hash-chained, replayable; its writer (`journal`), file form, start, readers and retention."""

from hedgegridd.journal.journal import Journal, Recovered
from hedgegridd.journal.records import Verification, pruned, replayable, tail, verify
from hedgegridd.journal.segments import Record

__all__ = ["Journal", "Record", "Recovered", "Verification", "pruned", "replayable", "tail", "verify"]
