"""Predict: what will the next operation do? All is made from the recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from memsim.mm.mmzone import PG_INUSE, PG_ORDER
from memsim.trace.steps import ListAdd, ListDel, ListName, Pages, Step
from memsim.views.scene import Scene, list_order
from memsim.views.text import list_sort_key

FROM = "Where does the block come from?"
TO = "Where does the block end up?"
FAILS = "From nowhere: the request fails"
#: A question has this many lists to choose from, if there are so many.
CHOICES = 4


class Asked(NamedTuple):
    """A question; `answer` is the number of the right choice."""

    asked: str
    question: str
    choices: list[str]
    answer: int
    because: str


def questions(
    scene: Scene, operations: Sequence[Any], steps: Sequence[Step], sentences: Sequence[str]
) -> list[list[Any] | None]:
    """A question for each operation that has one; the scene is taken along."""
    found: list[list[Any] | None] = []
    at = 0
    for op in operations:
        scene.apply_all(steps[at : op.first_step])
        part = slice(op.first_step, op.last_step)
        asked = question_of(scene, op.name, steps[part], sentences[part])
        found.append(list(asked) if asked else None)
        at = op.first_step
    return found


def question_of(
    scene: Scene, name: str, steps: Sequence[Step], sentences: Sequence[str]
) -> Asked | None:
    """What to ask in front of this operation; None where its lists do not decide it."""
    head, _, result = name.partition(" = ")
    if result == "NULL":
        chosen = _full_lists(scene)[-CHOICES:]
        because = "No list that the request may take from, down to the watermark, has a block."
        return _asked(scene, head, FROM, chosen, None, because)
    for number, step in enumerate(steps):
        if isinstance(step, ListDel):
            lists = _near(step.list, _full_lists(scene))
            return _asked(scene, head, FROM, lists, step.list, sentences[number])
        if isinstance(step, Pages) and step.old & ~step.new & PG_INUSE:
            return _freed(scene, head, steps, sentences)
    return None


def _freed(
    scene: Scene, head: str, steps: Sequence[Step], sentences: Sequence[str]
) -> Asked | None:
    adds = [n for n, step in enumerate(steps) if isinstance(step, ListAdd)]
    freed = [step for step in steps if isinstance(step, Pages)]
    if not adds or not freed:
        return None
    last = steps[adds[-1]]
    assert isinstance(last, ListAdd)
    places = list(dict.fromkeys(_places_of(scene, last.list, freed[0].old & PG_ORDER)))
    lists = sorted(places[:CHOICES], key=list_sort_key)
    return _asked(scene, head, TO, lists, last.list, sentences[adds[-1]])


def _places_of(scene: Scene, end: ListName, order: int) -> list[ListName]:
    """Where a freed block of this order could end, likely places first: `end` is where it does."""
    of_type = [
        name
        for name in scene.lists
        if name.zone_id == end.zone_id
        and scene.names.migratetype(name) == scene.names.migratetype(end)
    ]
    pcp = [name for name in of_type if name.where == "pcp" and list_order(name) == order]
    free = [name for name in of_type if name.where == "free_area"]
    nearest = sorted(free, key=lambda name: (abs(name.x - list_order(end)), name.x))
    as_it_is = [name for name in free if name.x == order]
    return [end, *pcp[:1], *as_it_is, *nearest]


def _full_lists(scene: Scene) -> list[ListName]:
    return sorted((name for name, pages in scene.lists.items() if pages), key=list_sort_key)


def _near(answer: ListName, names: list[ListName]) -> list[ListName]:
    """The answer and the lists nearest to it, in the player's order."""
    ordered = sorted({answer, *names}, key=list_sort_key)
    at = ordered.index(answer)
    first = max(0, min(at - CHOICES // 2 + 1, len(ordered) - CHOICES))
    return ordered[first : first + CHOICES]


def _asked(
    scene: Scene,
    head: str,
    question: str,
    lists: list[ListName],
    answer: ListName | None,
    because: str,
) -> Asked | None:
    """A question, unless there is nothing to choose from."""
    choices = [scene.names.list(name) for name in lists]
    choices += [FAILS] if question == FROM else []
    right = len(choices) - 1 if answer is None else lists.index(answer)
    return Asked(head, question, choices, right, because) if len(choices) > 1 else None
