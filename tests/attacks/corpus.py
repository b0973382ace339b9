"""Notebooks that want points for no work, or harm: what was tried on graders, and more.

Each class of attacks is a file of cells. They know more than students do: @COURSE@ is the course's
folder with the hidden cases, @PID@ the grader, @PORT@ a server of its, @OPEN@ a file that anybody
may write. They end in a function answer(n), whose right answers nobody can guess; after "looks"
it is one that answers with what the cell found.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_CELLS = Path(__file__).with_name("cells")
#: What was found; and if it has answers, those.
_FOUND = """
import re
found = str(globals().get('found', 'nothing'))
tokens = re.findall('[0-9a-f]{32}', found)
def answer(n):
    return tokens[n] if n < len(tokens) else found[:2000]
"""


class Attack(NamedTuple):
    """What is tried; `kind` is its class."""

    name: str
    kind: str
    cells: tuple[str, ...]


def _attacks(path: Path) -> list[Attack]:
    found = []
    for part in f"\n{path.read_text()}".split("\n## ")[1:]:
        head, _, cell = part.partition("\n")
        how, _, name = head.partition(": ")
        cells = (cell.rstrip("\n"), *([_FOUND] if how == "looks" else []))
        found.append(Attack(name, path.stem.replace("_", " "), cells))
    return found


ATTACKS: tuple[Attack, ...] = tuple(
    attack for path in sorted(_CELLS.glob("*.txt")) for attack in _attacks(path)
)
