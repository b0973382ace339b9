"""What is done to a student's functions and objects: scripts of calls, as plain data.

    ["call", NAME, ARGS]     a function of the notebook
    ["new", NAME, ARGS]      an object of a class of the notebook; what follows is done to it
    ["do", METHOD, ARGS]     a method of that object

Each entry has an answer: what came back, as plain data; of "new" it is None.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from memsim.lab.plain import WORDS, plain

Script = Sequence[Sequence[Any]]
KINDS = ("call", "new", "do")


class Missing(Exception):
    """A function, class or method that the script needs is not there; the text says which."""


def run_script(names: Mapping[str, Any], script: Script, answers: list[Any]) -> list[Any]:
    """Adds the answers, in order. Missing, NotPlain, and whatever the student's code raises."""
    thing: Any = None
    for kind, name, args in script:
        given = copy.deepcopy(args)
        if kind == "do":
            answers.append(plain(_method(thing, name)(*given)))
            continue
        made = _named(names, name)(*given)
        if kind == "new":
            thing, made = made, None
        answers.append(plain(made))
    return answers


def in_words(entry: Sequence[Any]) -> str:
    """An entry as one would write it in Python, long arguments cut."""
    _, name, args = entry
    return f"{name}({', '.join(shortened(arg, 60) for arg in args)})"


def shortened(value: Any, length: int) -> str:
    """The value as Python writes it, in so many characters at most."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 2]} …"


def names_used(script: Script) -> list[str]:
    """Functions and classes that a notebook must define for this script."""
    return list(dict.fromkeys(str(name) for kind, name, _ in script if kind != "do"))


def _named(names: Mapping[str, Any], name: str) -> Any:
    if name not in names:
        raise Missing(
            f"{name} is not defined: run the cell that defines it; if it is gone, take the "
            "exercise's notebook again"
        )
    if not callable(names[name]):
        raise Missing(f"{name} is {WORDS[type(names[name])]}; should be what the cell defines")
    return names[name]


def _method(thing: Any, name: str) -> Any:
    method = getattr(thing, name, None)
    if not callable(method):
        raise Missing(f"{type(thing).__name__} has no method {name}()")
    return method
