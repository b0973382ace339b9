"""The function that just ran, quoted from the running program: never a copy that grows stale."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any


class Source:
    """The text of a function and where it stands. JupyterLab shows it in its own colours."""

    def __init__(self, function: Callable[..., Any] | CodeType) -> None:
        found = function if isinstance(function, CodeType) else inspect.unwrap(function)
        lines, self.first = inspect.getsourcelines(found)
        path = Path(inspect.getsourcefile(found) or "")
        inside = path.parts[len(path.parts) - path.parts[::-1].index("memsim") - 1 :]
        self.text = textwrap.dedent("".join(lines))
        self.file = "/".join(inside)
        self.where = f"{self.file}, line {self.first}"

    def __repr__(self) -> str:
        return f"# {self.where}\n{self.text}"

    def _repr_markdown_(self) -> str:
        return f"`{self.where}`\n\n```python\n{self.text}```\n"


def source(function: Callable[..., Any]) -> Source:
    """The source of a memsim function, to be shown at the end of a cell."""
    return Source(function)
