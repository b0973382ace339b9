"""A prediction before the run, a question after it. Plain ipywidgets: a keyboard and a test do.

And what the lessons' other controls share: a status line, and a column in which sliders have names.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets

from memsim.views.progress import ANSWERED, PREDICTED, note

#: How a verdict begins where nobody predicted; pages that cannot ask leave it out.
NO_PREDICTION = "You predicted nothing. It is: "

#: Widgets as wide as the cell, and long answers in as many lines as they need.
FULL = {"width": "100%", "max_width": "48em", "margin": "2px 0"}


def status(text: str, role: str = "status") -> str:
    """One line that a screen reader says when it appears, as HTML."""
    border = "3px solid var(--jp-brand-color1, #0b62c4)"
    style = "padding: 2px 8px; line-height: 1.45; white-space: pre-line; overflow-wrap: break-word"
    return f'<div role="{role}" style="border-left: {border}; {style}">{html.escape(text)}</div>'


def scrolling(inner: str, attributes: str, height: str = "none") -> str:
    """HTML that keeps to the width of its cell, and to a height, and scrolls where it is larger.

    With a tabindex it scrolls by keys too, which JupyterLab would take for its own.
    """
    style = f"width: 0; min-width: 100%; max-height: {height}; overflow: auto"
    return f'<div {attributes} data-lm-suppress-shortcuts="true" style="{style}">{inner}</div>'


class _Names(anywidget.AnyWidget):
    """Shows nothing; gives names to the sliders beside it, and lets long names break."""

    _esm = (Path(__file__).parent / "names.js").read_text(encoding="utf-8")
    _css = (Path(__file__).parent / "names.css").read_text(encoding="utf-8")


@cache
def _names() -> _Names:
    """One for a whole lesson: anywidget gives each two seconds to begin, on slow machines too."""
    return _Names()


class Controls(widgets.VBox):
    """A column of controls: sliders have names for a screen reader, narrow windows do no harm."""

    def __init__(self, children: Sequence[widgets.Widget]) -> None:
        super().__init__([*children, _names()])
        self.add_class("memsim-controls")

    def text(self) -> str:
        """What is shown, in words."""
        raise NotImplementedError

    def still(self) -> str:
        """What is shown, as HTML for pages without a kernel: nothing in it can be moved."""
        return f"<pre>{html.escape(self.text())}</pre>"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget; for readers without a kernel the still."""
        still = f'<div class="memsim-still">{self.still()}</div>'
        return {**super()._repr_mimebundle_(**kwargs), "text/html": still}


class _Choice(Controls):
    """A question and its answers, none of them chosen yet."""

    def __init__(self, question: str, answers: Sequence[str], group: str) -> None:
        self.question = question
        self.radio = widgets.RadioButtons(
            options=list(answers), index=None, description=group, layout=widgets.Layout(**FULL)
        )
        self.said = widgets.HTML(layout=widgets.Layout(**FULL))
        self.radio.observe(self._chosen, names="value")
        asked = f'<div style="line-height: 1.45"><b>{html.escape(question)}</b></div>'
        super().__init__(
            [widgets.HTML(asked, layout=widgets.Layout(**FULL)), self.radio, self.said]
        )

    def text(self) -> str:
        """The question, and a line for each answer."""
        return "\n".join([self.question, *(f"- {answer}" for answer in self.radio.options)])

    @property
    def answer(self) -> str | None:
        """What is chosen; None before anything is."""
        value: str | None = self.radio.value
        return value

    def _chosen(self, change: Any) -> None:
        raise NotImplementedError


class Prediction(_Choice):
    """Asks what will happen. Can be changed until reveal() says what did."""

    def __init__(self, question: str, answers: Sequence[str]) -> None:
        super().__init__(question, answers, "I predict")

    def still(self) -> str:
        """The question and its answers."""
        answers = "".join(f"<li>{html.escape(answer)}</li>" for answer in self.radio.options)
        return f"<p><b>{html.escape(self.question)}</b></p><ul>{answers}</ul>"

    def _chosen(self, change: Any) -> None:
        if not self.radio.disabled:
            self.said.value = status("Noted. Run the next cell to see.")

    def reveal(self, answer: str, because: str) -> Verdict:
        """What really happened, beside what was predicted; from here on nothing can be changed."""
        if answer not in self.radio.options:
            raise ValueError(f"{answer!r} is none of the answers")
        self.radio.disabled = True
        verdict = Verdict(self.answer, answer, because)
        self.said.value = status(str(verdict))
        if self.answer is not None:
            note(PREDICTED, self.question, verdict.is_right)
        return verdict


class Predictions:
    """The predictions of one lesson, by name: cells may run in any order, and twice."""

    def __init__(self) -> None:
        self._asked: dict[str, Prediction] = {}

    def ask(self, name: str, question: str, answers: Sequence[str]) -> Prediction:
        """Ask, afresh."""
        self._asked[name] = Prediction(question, answers)
        return self._asked[name]

    def reveal(self, name: str, answer: str, because: str) -> Verdict:
        """What really happened; also where nobody has asked."""
        asked = self._asked.get(name)
        return asked.reveal(answer, because) if asked else Verdict(None, answer, because)


class Verdict:
    """A prediction and what became of it."""

    def __init__(self, predicted: str | None, answer: str, because: str) -> None:
        self.is_right = predicted == answer
        self._predicted = predicted
        self._text = f"{answer}. {because}"

    def __str__(self) -> str:
        if self._predicted is None:
            return f"{NO_PREDICTION}{self._text}"
        if self.is_right:
            return f"As you predicted: {self._text}"
        return f"You predicted: {self._predicted}. It is: {self._text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return status(str(self))


class Question(_Choice):
    """Asks, and says to each answer why it is right or wrong."""

    def __init__(self, question: str, reasons: Mapping[str, str], right: str) -> None:
        if right not in reasons:
            raise ValueError(f"{right!r} is none of the answers")
        self.reasons = dict(reasons)
        self.right = right
        super().__init__(question, list(reasons), "Answer")

    def still(self) -> str:
        """The question; each answer opens to what is said to it."""
        answers = "".join(
            f"<details><summary>{html.escape(answer)}</summary>"
            f"{html.escape(self.verdict(answer))}</details>"
            for answer in self.reasons
        )
        return f"<p><b>{html.escape(self.question)}</b></p>{answers}"

    def _chosen(self, change: Any) -> None:
        self.said.value = status(self.verdict(self.answer), role="alert")
        if self.answer is not None:
            note(ANSWERED, self.question, self.answer == self.right)

    def verdict(self, answer: str | None) -> str:
        """What is said to an answer."""
        if answer is None:
            return "Nothing is chosen."
        return f"{'Right' if answer == self.right else 'Not so'}: {self.reasons[answer]}"
