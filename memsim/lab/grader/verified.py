"""Is the audit log whole to its end? The chain tells of all lines but those cut off behind it.

Of these the journal beside it tells: it keeps the log's head with each result, and no result is in
it that the log does not have. Who can change both can deceive both; a head that is kept elsewhere
they cannot change.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from memsim.lab.grader.audit import Verified, verify
from memsim.lab.grader.journal import JOURNAL, Journal


def verify_beside(path: Path, head: str = "") -> Verified:
    """verify(), and with the journal where there is one. BadInput: one of them cannot be read."""
    beside = path.with_name(JOURNAL)
    if not beside.is_file():
        return verify(path, head)
    with Journal(beside) as journal:  # first: the log of a grader at work goes on
        known, results = journal.head, len(journal)
    found = replace(verify(path, head, known), is_compared=True)
    is_cut = bool(known) and known in found.problem
    if found.problem and not is_cut:
        return found
    if is_cut or found.graded < results:
        told = f"its end is gone: {JOURNAL} has {results} results, the log {found.graded}"
        return replace(found, problem=told)
    return found
