"""The code pane: the function that a step came from, its line lit, read as it ran."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import CodeType
from typing import Any

from memsim.machine.emitters import Emitter
from memsim.views.source import Source

#: A frame whose functions are not known.
NOBODY = [-1, 0]


@cache
def _source(code: CodeType) -> Source:
    return Source(code)


class CodeBook:
    """The functions that emitted steps, each once, and who called whom, each chain once."""

    def __init__(self) -> None:
        self._functions: dict[CodeType, int] = {}
        self._chains: dict[tuple[int, ...], int] = {}

    def place(self, emitter: Emitter, sentence: str) -> list[int]:
        """[number of a chain, which of its functions the sentence is about], for a frame."""
        if not emitter:
            return NOBODY
        numbers = tuple(n for code, line in emitter for n in (self._number(code), line))
        chain = self._chains.setdefault(numbers, len(self._chains))
        return [chain, shown_of(emitter, sentence)]

    def _number(self, code: CodeType) -> int:
        return self._functions.setdefault(code, len(self._functions))

    def as_data(self) -> dict[str, Any]:
        """Functions as [name, file, first line, text]; chains as function, line, function, ..."""
        sources = [(code.co_qualname, _source(code)) for code in self._functions]
        return {
            "functions": [[name, s.file, s.first, s.text] for name, s in sources],
            "chains": [list(chain) for chain in self._chains],
        }


def shown_of(emitter: Emitter, sentence: str) -> int:
    """The function that the sentence names; else the innermost that is one of the kernel's."""
    named = sentence.partition("(")[0].lstrip("_")
    names = [code.co_name.lstrip("_") for code, _ in emitter]
    if named in names:
        return names.index(named)
    return next((n for n, (code, _) in enumerate(emitter) if _is_kernel_s(code)), 0)


def _is_kernel_s(code: CodeType) -> bool:
    """Is it more than a place where something is changed and told?"""
    source = _source(code)
    return "Kernel:" in source.text and not source.file.endswith("/update.py")


def code_text(emitter: Emitter, sentence: str) -> str:
    """The code pane in words: file, line and function, the line itself, and who called."""
    if not emitter:
        return "It is not known which code this step came from."
    shown = shown_of(emitter, sentence)
    code, line = emitter[shown]
    source = _source(code)
    lit = source.text.splitlines()[line - source.first].strip()
    called = " < ".join(code.co_qualname for code, _ in emitter[shown:])
    return f"{source.file}, line {line}, in {called}\n  {lit}"


def emitters_of(recording: Any) -> Sequence[Emitter]:
    """Who emitted each step; nobody where the recording does not say."""
    emitters: Sequence[Emitter] = getattr(recording, "emitters", ())
    return emitters
