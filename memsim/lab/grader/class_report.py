"""The class report: what an instructor should teach again. One page, read without a network.

Every chart has a table with the same numbers, and without Plotly there are the tables alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from memsim.files import write_whole
from memsim.lab.grader.pages import folded, page, paragraph, prose, table, text
from memsim.lab.grader.results import OUTCOMES, Result
from memsim.lab.grader.tally import CaseTally, ClassTally, Tally, tally
from memsim.lab.spec import Spec
from memsim.words.errors import BadInput

#: A case that fewer have right is worth teaching again, and a mistake that more than so many make.
_LOW = 0.6
_OFTEN = 0.1
_MOST_ADVICE = 12
_MOST_FLAGS = 500

Specs = Mapping[str, Spec]


def class_report(results: Iterable[Result], specs: Specs, title: str = "The class") -> str:
    """The page, as HTML. `results`: those that count."""
    whole = tally(results)
    charts = _charts(whole, specs)
    parts = [
        paragraph(_head(whole)),
        "<h2>To teach again</h2>", *_advice(whole, specs),
        "<h2>Points for each exercise</h2>", charts.get("points", ""), _points(whole, specs),
        "<h2>Cases</h2>", charts.get("cases", ""), _cases(whole, specs),
        "<h2>Wrong answers that are known</h2>", charts.get("mistakes", ""),
        _mistakes(whole, specs),
        "<h2>What became of the submissions</h2>", _outcomes(whole),
        "<h2>Flags</h2>", _flags(whole),
    ]  # fmt: skip
    return page(title, [charts.get("script", ""), *parts], scripts=True)


def write_class_report(path: Path, results: Iterable[Result], specs: Specs) -> None:
    """Write the page. BadInput where there is no room."""
    try:
        write_whole(path, class_report(results, specs).encode())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def _head(whole: ClassTally) -> str:
    modes = ", ".join(f"{mode} {count}" for mode, count in sorted(whole.modes.items()) if mode)
    count = sum(one.outcomes.total() for one in whole.exercises.values())
    shut = f" Students' code was shut in by: {modes}." if modes else ""
    return (
        f"{len(whole.students)} students, {len(whole.exercises)} exercises, {count} results.{shut}"
    )


def _title(name: str, specs: Specs) -> str:
    return f"{name[:2]} {specs[name].title}" if name in specs else name


def _advice(whole: ClassTally, specs: Specs) -> Iterator[str]:
    """The cases that few have right and the mistakes that many make, the worst first."""
    found = sorted(advice for one in whole.exercises.values() for advice in _advice_on(one, specs))[
        :_MOST_ADVICE
    ]
    if not found:
        yield paragraph("Nothing stands out: no case that few have right, no frequent mistake.")
        return
    yield f"<ol>{''.join(f'<li>{prose(said)}</li>' for _, said in found)}</ol>"


def _advice_on(one: Tally, specs: Specs) -> Iterator[tuple[float, str]]:
    """Each with the share of students who had it right."""
    spec = specs.get(one.exercise)
    where = _title(one.exercise, specs) + (f" (lesson {spec.lesson})" if spec else "")
    worst: dict[str, CaseTally] = {}
    for case in sorted(one.cases, key=lambda case: -case.share):
        worst[case.name] = case
    for name, case in worst.items():
        if case.share < _LOW:
            yield case.share, f"{where}: {case.right} of {case.count} have it right: {name}"
    for mistake, count in one.mistakes.items():
        share = count / one.handed_in if one.handed_in else 0.0
        if share > _OFTEN:
            yield 1 - share, f"{where}: {count} of {one.handed_in}: {_words(mistake, spec)}"


def _words(mistake: str, spec: Spec | None) -> str:
    return spec.mistakes.get(mistake, mistake) if spec else mistake


def _points(whole: ClassTally, specs: Specs) -> str:
    heads = ("exercise", "graded", "of", "mean", "least", "lower quartile", "median",
             "upper quartile", "most")  # fmt: skip
    rows = [
        [text(_title(one.exercise, specs)), f"{len(one.scores)}", f"{one.max}",
         f"{one.share:.0%}", *(f"{number:.1f}" for number in one.quartiles)]
        for one in whole.exercises.values()
    ]  # fmt: skip
    return table("Points for each exercise", heads, rows)


def _cases(whole: ClassTally, specs: Specs) -> str:
    rows = [
        [text(_title(one.exercise, specs)), f"{at + 1}", prose(case.name, 200), _seen(case),
         f"{case.right} of {case.count}", f"{case.share:.0%}"]
        for one in whole.exercises.values() for at, case in enumerate(one.cases)
    ]  # fmt: skip
    cases = table("Cases", ("exercise", "case", "name", "", "right", "share"), rows)
    return folded("Each case as a table", cases)


def _seen(case: CaseTally) -> str:
    return "visible" if case.visible else text(f"hidden {case.group}".rstrip())


def _mistakes(whole: ClassTally, specs: Specs) -> str:
    rows = [
        [text(_title(one.exercise, specs)), prose(_words(mistake, specs.get(one.exercise))),
         f"{count} of {one.handed_in}"]
        for one in whole.exercises.values() for mistake, count in one.mistakes.most_common()
    ]  # fmt: skip
    if not rows:
        return paragraph("None was recognised.")
    return table("Wrong answers that are known", ("exercise", "what is said", "students"), rows)


def _outcomes(whole: ClassTally) -> str:
    used = [name for name in OUTCOMES if any(o.outcomes[name] for o in whole.exercises.values())]
    rows = [
        [text(one.exercise), *(f"{one.outcomes[name]}" for name in used)]
        for one in whole.exercises.values()
    ]
    return table("What became of the submissions", ("exercise", *used), rows)


def _flags(whole: ClassTally) -> str:
    if not whole.flagged:
        return paragraph("None.")
    rows = [[text(part, 300) for part in flag] for flag in sorted(whole.flagged)[:_MOST_FLAGS]]
    more = len(whole.flagged) - len(rows)
    told = table("Flags", ("student", "exercise", "flag"), rows)
    return told + (paragraph(f"{more} more are in the journal.") if more else "")


def _charts(whole: ClassTally, specs: Specs) -> dict[str, str]:
    """The charts as HTML, and the script that draws them; none without Plotly."""
    try:
        from memsim.lab.grader import class_charts
    except ImportError as error:
        return {"script": paragraph(f"There are no charts: {error}")}
    titles = {name: _title(name, specs) for name in whole.exercises}
    return class_charts.charts(whole, titles)
