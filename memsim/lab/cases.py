"""Cases: what is done to a student's code, and what should come of it; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memsim.lab.script import KINDS
from memsim.lab.spec import Json, checked
from memsim.words.errors import BadInput

#: Stands for the arguments [given], which are the same in many cases.
GIVEN = "given"


@dataclass(frozen=True)
class Case:
    """One case. `mistakes`: what comes of it by each mistake that students are known to make."""

    name: str
    script: list[list[Any]]
    expected: Any
    visible: bool = True
    group: str = ""
    hint: str = ""
    #: Which entry of the last answer counts: an index or a key; None: all of it.
    pick: int | str | None = None
    #: All answers of the script count, as a list; not the last one alone.
    every: bool = False
    compare: str = ""
    invariants: list[str] = field(default_factory=list)
    mistakes: Json = field(default_factory=dict)
    #: How free lists are found in the answers, for the player: {"lists": METHOD, "order": ORDER}.
    player: Json = field(default_factory=dict)

    def got(self, answers: list[Any]) -> Any:
        """What counts of the script's answers; LookupError if that is not there."""
        if self.every:
            return answers
        last, pick = answers[-1], self.pick
        if pick is None:
            return last
        if isinstance(last, list) and isinstance(pick, int) and 0 <= pick < len(last):
            return last[pick]
        if isinstance(last, dict) and str(pick) in last:
            return last[str(pick)]
        raise LookupError(pick)


@dataclass(frozen=True)
class Puzzle:
    """A variant: what a reader is shown, what the code is given, and the cases."""

    number: int
    shown: str
    given: Any
    cases: list[Case]
    #: How many cases there are that are not among these.
    hidden: int = 0


def puzzle_of(told: Any, number: int, where: str) -> Puzzle:
    """The puzzle that plain data describes. BadInput: what is wrong in which case."""
    told = checked(told, dict, where)
    cases = checked(told.get("cases"), list, f"{where}: cases")
    if not cases:
        raise BadInput(f"{where}: cases: there is none")
    given = told.get("given")
    return Puzzle(
        number,
        checked(told.get("shown", ""), str, f"{where}: shown"),
        given,
        [case_of(case, f"{where}: cases[{n}]", given) for n, case in enumerate(cases)],
        checked(told.get("hidden", 0), int, f"{where}: hidden"),
    )


def case_of(told: Any, where: str, given: Any = None) -> Case:
    """One case. "call" and "args" are short for a script of one call, "given" for [given]."""
    told = dict(checked(told, dict, where))
    if "call" in told:
        told["script"] = [["call", told.pop("call"), told.pop("args", [])]]
    unknown = told.keys() - Case.__dataclass_fields__.keys()
    if unknown:
        raise BadInput(f"{where}: {sorted(unknown)[0]}: is no field of a case")
    if "expected" not in told:
        raise BadInput(f"{where}: expected: is missing")
    if isinstance(told.get("script"), list):
        told["script"] = [_with_given(entry, given) for entry in told["script"]]
    _check_script(told.get("script"), f"{where}: script")
    for key, kind in _KINDS.items():
        if key in told:
            checked(told[key], kind, f"{where}: {key}")
    return Case(**({"name": ""} | told))


def _with_given(entry: Any, given: Any) -> Any:
    return [*entry[:2], [given]] if isinstance(entry, list) and entry[2:] == [GIVEN] else entry


_KINDS: Mapping[str, type] = {
    "name": str, "visible": bool, "group": str, "hint": str, "every": bool, "compare": str,
    "invariants": list, "mistakes": dict, "player": dict,
}  # fmt: skip


def _check_script(script: Any, where: str) -> None:
    if not checked(script, list, where):
        raise BadInput(f"{where}: is empty")
    made = False
    for n, entry in enumerate(script):
        entry = checked(entry, list, f"{where}[{n}]")
        if len(entry) != 3 or entry[0] not in KINDS or not isinstance(entry[2], list):
            raise BadInput(
                f'{where}[{n}]: should be ["KIND", "NAME", [...]]; kinds are {", ".join(KINDS)}'
            )
        checked(entry[1], str, f"{where}[{n}]")
        made = made or entry[0] == "new"
        if entry[0] == "do" and not made:
            raise BadInput(f"{where}[{n}]: does something to an object before any is new")


def as_json(puzzle: Puzzle, *, hidden: bool) -> Json:
    """Plain data of it again; without its hidden cases, unless asked for."""
    shown = [case for case in puzzle.cases if case.visible or hidden]
    return {
        "number": puzzle.number,
        "shown": puzzle.shown,
        "given": puzzle.given,
        "cases": [_case_json(case, puzzle.given) for case in shown],
        "hidden": puzzle.hidden + len(puzzle.cases) - len(shown),
    }


def _case_json(case: Case, given: Any) -> Json:
    blank = Case("", [], None)
    told = {key: getattr(case, key) for key in Case.__dataclass_fields__}
    short = [[kind, name, GIVEN if args == [given] else args] for kind, name, args in case.script]
    told["script"] = short
    needed = ("name", "script", "expected")
    return {k: v for k, v in told.items() if k in needed or v != getattr(blank, k)}
