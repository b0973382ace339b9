"""Grades go where they are wanted, and what a student wrote stays text: in CSV, and in HTML."""

from __future__ import annotations

import csv
import html
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memsim.lab import grader
from memsim.lab.grader import exports
from memsim.lab.grader.class_report import class_report, write_class_report
from memsim.lab.grader.exports import as_canvas, as_moodle, as_nbgrader, harmless, write_exports
from memsim.lab.grader.feedback import feedback, file_name, write_feedback
from memsim.lab.grader.results import (
    MAX_SHOWN,
    MISSING,
    OUTCOMES,
    RAN,
    UNREADABLE,
    Intake,
    Result,
    case_of,
    not_run,
    shown,
    to_look_at,
)
from memsim.lab.grader.tally import tally
from memsim.lab.places import of_author
from memsim.lab.spec import Json, Spec
from memsim.lab.verdict import Answer, judge, points, recognised
from memsim.words.errors import BadInput
from tests.submissions import NAME, course
from tests.test_views_access import faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>'\"&\x1b[31m\u202e"


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return of_author(author(tmp_path), 1).spec


def author(tmp_path: Path) -> Path:
    folder = tmp_path / "solutions" / "cases" / NAME
    return folder if folder.is_dir() else course(tmp_path) / "solutions" / "cases" / NAME


def case(**more: Any) -> Json:
    told = {"name": "twice 7", "visible": True, "group": "", "hint": "", "score": 1.0, "got": 14,
            "expected": 14, "failure": "", "note": ""}  # fmt: skip
    return {**told, **more}


def hidden(score: float, **more: Any) -> Json:
    secret = {"name": "SECRET NAME", "got": "SECRET GOT", "expected": "SECRET EXPECTED"}
    said = {"failure": "SECRET FAILURE" if score < 1 else "", "note": "SECRET NOTE"}
    told = {"visible": False, "group": "numbers", "hint": "Look at the sign.", "score": score}
    return case(**{**secret, **said, **told, **more})


def result(student: str = "ada", score: float | None = 3.0, **more: Any) -> Result:
    told = Result(student, NAME, score, 4, RAN, (), [], "", "k", "bwrap", 0.1)
    return replace(told, **more)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


ROSTER = {
    "ada": {"id": "ada", "first_name": "Ada", "last_name": "Lovelace", "email": "a@x.org",
            "canvas_id": "17", "section": "A", "login": "al"},
    "bob": {"id": "bob", "name": "Bob, the =second"},
    "eve": {"id": "eve", "name": "=HYPERLINK(\"http://x\")", "section": "@sum"},
}  # fmt: skip
CLASS = [
    result(), result("bob", 2.666), result("eve", None, outcome=UNREADABLE),
    result("ada", 9.0, exercise="02_next", max=10), result("bob", 0.0, exercise="02_next", max=10,
    outcome=MISSING), result("stranger"),
]  # fmt: skip


# CSV.


def test_nbgrader_has_its_columns_and_a_row_for_each_student_and_exercise() -> None:
    table = rows(as_nbgrader(CLASS, ROSTER))
    plugin = pytest.importorskip("nbgrader.plugins.export")
    source = Path(plugin.__file__).read_text()
    assert all(f"'{column}'" in source for column in table[0])
    assert table[1:3] == [
        [NAME, "", "", "ada", "Lovelace", "Ada", "a@x.org", "3", "0", "3", "4"],
        [NAME, "", "", "bob", "", "Bob, the =second", "", "2.67", "0", "2.67", "4"],
    ]
    assert len(table) == 1 + 2 * 3


def test_canvas_has_its_columns_points_possible_and_a_column_for_each_exercise() -> None:
    assert rows(as_canvas(CLASS, ROSTER)) == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", NAME, "02_next"],
        ["    Points Possible", "", "", "", "", "4", "10"],
        ["Ada Lovelace", "17", "ada", "al", "A", "3", "9"],
        ["Bob, the =second", "", "bob", "bob", "", "2.67", "0"],
        ['\'=HYPERLINK("http://x")', "", "eve", "eve", "'@sum", "", ""],
    ]


def test_moodle_has_id_numbers_and_a_column_for_each_exercise() -> None:
    assert rows(as_moodle(CLASS, ROSTER))[:2] == [
        ["ID number", "First name", "Last name", "Email address", NAME, "02_next"],
        ["ada", "Ada", "Lovelace", "a@x.org", "3", "9"],
    ]


@pytest.mark.parametrize("make", [as_nbgrader, as_canvas, as_moodle])
def test_no_grade_is_an_empty_cell_and_0_is_0(make: Callable[..., str]) -> None:
    cells = {
        "none": rows(make([result(score=None)], {})),
        "zero": rows(make([result(score=0.0)], {})),
    }
    scores = {name: [row[-2 if make is as_nbgrader else -1] for row in table][-1]
              for name, table in cells.items()}  # fmt: skip
    assert scores == {"none": "", "zero": "0"}


@pytest.mark.parametrize("make", [as_nbgrader, as_canvas, as_moodle])
@pytest.mark.parametrize("first", "=+-@\t\r\n＝＋－＠")
def test_no_cell_is_a_formula(first: str, make: Callable[..., str]) -> None:
    evil = f"{first}cmd|' /C calc'!A0"
    about = dict.fromkeys(
        ("name", "first_name", "last_name", "email", "section", "login", "canvas_id", "sis_id"),
        evil,
    )
    table = rows(make([result(evil), result(f"  {evil}")], {evil: about, f"  {evil}": {}}))
    table += rows(make([result(evil, exercise=evil)], {}))
    cells = [cell for row in table for cell in row]
    assert sum("cmd|" in cell for cell in cells) >= 4
    assert not [cell for cell in cells if cell.lstrip(" ").startswith(tuple("=+-@\t\r\n＝＋－＠"))]
    assert all(cell.isprintable() for cell in cells)


def test_a_text_that_is_no_formula_stays_as_it_is() -> None:
    assert [harmless(text) for text in ("Ada", "a=b", "3-4", "Ó Néill", "")] == [
        "Ada", "a=b", "3-4", "Ó Néill", "",
    ]  # fmt: skip


def test_who_is_not_on_the_roster_is_told_of_and_without_one_all_are_exported() -> None:
    assert exports.not_on_roster(CLASS, ROSTER) == ["stranger"]
    assert exports.not_on_roster(CLASS, {}) == []
    assert [row[0] for row in rows(as_moodle(CLASS, {}))[1:]] == ["ada", "bob", "eve", "stranger"]


def test_the_newest_of_several_results_counts() -> None:
    assert rows(as_moodle([result(score=1.0), result(score=4.0)], {}))[1][-1] == "4"


def test_files_are_written_and_a_place_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    names = [path.name for path in write_exports(tmp_path, CLASS, ROSTER)]
    assert names == ["grades-nbgrader.csv", "grades-canvas.csv", "grades-moodle.csv"]
    assert (tmp_path / names[1]).read_text() == as_canvas(CLASS, ROSTER)
    (tmp_path / "file").write_text("")
    no_folder = tmp_path / "file" / "x"
    with pytest.raises(BadInput, match=r"grades-nbgrader\.csv: Not a directory"):
        write_exports(no_folder, CLASS, ROSTER)
    with pytest.raises(BadInput, match="Not a directory"):
        write_feedback(no_folder, CLASS, {})
    with pytest.raises(BadInput, match="Not a directory"):
        write_class_report(no_folder, CLASS, {})


# A student's page.


class Page_(HTMLParser):
    """Tags and texts of a page; a style's text is left out."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def told(*cases: Json, spec: Spec | None = None, **more: Any) -> str:
    specs = {NAME: spec} if spec else {}
    return Page_(feedback("ada", [result(cases=list(cases), **more)], specs)).text


def test_a_visible_case_shows_what_was_expected_and_what_came() -> None:
    text = told(case(), case(name="twice -7", score=0.0, got=49, expected=-14))
    assert "twice 7 right 14 14 twice -7 wrong -14 49" in text
    assert "50%" in told(case(score=0.5))
    assert "99%" in told(case(score=0.999))


def test_a_visible_case_that_failed_shows_why() -> None:
    text = told(case(score=0.0, got=None, failure="raises ZeroDivisionError (line 3 of its cell)"))
    assert "raises ZeroDivisionError (line 3 of its cell)" in text
    assert "None" not in text


def test_of_hidden_cases_only_their_number_and_the_author_s_hint_are_shown() -> None:
    cases = [hidden(1.0)] * 6 + [hidden(0.0), hidden(0.5)]
    text = told(*cases)
    assert "numbers 6 of 8, 1 in part Look at the sign." in text
    assert "SECRET" not in feedback("ada", [result(cases=cases)], {})
    assert "Look at the sign." not in told(*[hidden(1.0)] * 8)


def test_an_author_s_backticks_are_code_and_a_student_s_are_not(tmp_path: Path, spec: Spec) -> None:
    own = replace(spec, mistakes={"squared": "Where bit `order` of `a<b` is set, `"})
    cases = [case(name="`a` of `b`", score=0.0, got="`x`"), hidden(0.0, hint="Look at `<pfn>`.")]
    one = result(cases=cases, mistake="squared", flags=("`y`",))
    said = "Where bit <code>order</code> of <code>a&lt;b</code> is set, `"
    page = feedback("ada", [one], {NAME: own})
    assert f'<p class="said">{said}</p>' in page
    assert "<code>a</code> of <code>b</code>" in page
    assert "Look at <code>&lt;pfn&gt;</code>." in page
    assert "`x`" in page
    assert "<li>`y`</li>" in page
    report = class_report([one], {NAME: own})
    assert report.count(said) == 2, "to teach again, and the table"
    assert "have it right: <code>a</code> of <code>b</code></li>" in report
    assert "<td><code>a</code> of <code>b</code></td>" in report


def test_groups_are_counted_apart() -> None:
    text = told(
        hidden(1.0, group="even"), hidden(0.0, group="odd", hint="Odd ones."), hidden(1.0, group="")
    )
    assert "even 1 of 1 odd 0 of 1 Odd ones. more cases 1 of 1" in text


def test_a_known_mistake_is_answered_in_its_own_words(spec: Spec) -> None:
    assert "You multiplied each number by itself." in told(case(), spec=spec, mistake="squared")
    assert "You multiplied" not in told(case(), spec=spec)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_is_said_and_no_grade_is_not_0(outcome: str) -> None:
    text = told(outcome=outcome, score=None, flags=("why it is so",))
    assert "01_double: no grade" in text
    assert "0 of 0 points in all; exercises graded: 0" in text
    assert ("why it is so" in text) == (outcome != "grader failed"), "a judge's words may tell much"
    assert "0 of 4 points" in told(outcome=outcome, score=0.0)


def test_where_a_cell_failed_that_is_said_on_top_and_told_to_the_instructor(spec: Spec) -> None:
    why = "cell 2 raised SyntaxError: expected ':'"
    one = result(score=0.0, outcome="not defined", reason=why, flags=("a flag",))
    page = feedback("ada", [one], {NAME: spec})
    assert f'<p class="said">{html.escape(why)}</p>\n<ul><li>a flag' in page
    assert "is not defined in your notebook" not in page
    late = Page_(feedback("ada", [replace(one, outcome="time limit")], {})).text
    assert f"{why} The time was up" in late
    assert f"ada 01_double {why}" in Page_(class_report([one], {NAME: spec})).text
    assert to_look_at(one) == (why, "a flag")


def test_all_that_a_student_can_write_is_text_on_the_page(spec: Spec) -> None:
    every = dict.fromkeys(("name", "got", "expected", "failure", "note"), ATTACK)
    cases = [case(score=0.0, **every),
             case(got={ATTACK: [ATTACK]}), hidden(0.0, group=ATTACK, hint=ATTACK)]  # fmt: skip
    evil = result(ATTACK, cases=cases, flags=(ATTACK,), mistake=ATTACK, exercise=ATTACK,
                  reason=f"`{ATTACK}`")  # fmt: skip
    plain = result("ada", cases=[case(score=0.0), case(), hidden(0.0)], flags=("x",), reason="y")
    for page in (feedback(ATTACK, [evil], {}), feedback(ATTACK, [evil], {ATTACK: spec})):
        ours = Page_(feedback("ada", [plain], {}))
        assert set(Page_(page).tags) <= {*ours.tags}
        assert set(Page_(page).attributes) == set(ours.attributes)
        assert page.count("&lt;script&gt;alert(1)") >= 8
        assert not {"\x1b", "\u202e"} & set(page)


def test_a_page_loads_and_runs_nothing() -> None:
    page = feedback("ada", [result(cases=[case()])], {})
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not {"script", "link", "img", "a", "form", "iframe"} & set(Page_(page).tags)
    assert "prefers-color-scheme: dark" in page


def test_long_texts_are_cut() -> None:
    page = feedback("ada", [result(cases=[case(got="x" * 60_000, failure="\u20ac" * 60_000)])], {})
    assert len(page.encode()) < 4 * MAX_SHOWN + 4000
    assert "x …" in page
    assert "\u20ac …" in page


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        ("a\tb\nc", 9, "a\tb\nc"),
        ("\x00\x07\x1b[1m\x7f\x85\u200f\u2066\ud800", 99, "[1m"),
        ("€€€", 7, "€€ …"),
        ("12345678", 8, "12345678"),
        ("123456789", 8, "12345678 …"),
    ],
)
def test_text_is_without_control_characters_and_cut_by_bytes(
    text: str, limit: int, said: str
) -> None:
    assert shown(text, limit) == said


@pytest.mark.parametrize(
    "student", ["../../etc/passwd", "a/b", "", ".", "con<>", "a" * 300, "\ud800", "ä", "-x", "a\0b"]
)
def test_a_page_s_name_stays_in_its_folder(student: str, tmp_path: Path) -> None:
    name = file_name(student)
    assert name not in {file_name(other) for other in (f"{student}x", "ada", "student")}
    assert (tmp_path / name).parent == tmp_path
    assert len(name) < 100
    assert name.isascii()
    assert file_name("ada@x.org") == "ada@x.org.html"


def test_each_student_has_a_page_of_their_own(tmp_path: Path) -> None:
    places = write_feedback(
        tmp_path / "new" / "feedback", [result(), result("bob"), result("../x")], {}
    )
    assert set(places) == {"ada", "bob", "../x"}
    assert {path.parent for path in places.values()} == {tmp_path / "new" / "feedback"}
    assert "bob" in places["bob"].read_text()
    assert "bob" not in places["ada"].read_text()


def test_pages_are_written_student_by_student(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="results of ada are not in one row"):
        write_feedback(tmp_path, [result(), result("bob"), result(exercise="02_next")], {})


# The class.


def graded(tmp_path: Path, student: str, answers: list[int] | None) -> Result:
    """As the grader makes it, with the first puzzle; answers None: the code failed."""
    found = of_author(author(tmp_path), 1)
    answer = Answer([answers]) if answers is not None else Answer([], "raises ValueError")
    verdicts = [judge(found.spec, one, answer, found.own) for one in found.puzzle.cases]
    cases = [case_of(verdict) for verdict in verdicts]
    return result(student, points(found.spec, verdicts), cases=cases, mistake=recognised(verdicts))


def class_of(tmp_path: Path) -> list[Result]:
    numbers = of_author(author(tmp_path), 1).puzzle.given["numbers"]
    right, squared = [2 * n for n in numbers], [n * n for n in numbers]
    gone = Intake("gus", NAME, (), (), "", "nothing was handed in", MISSING)
    lost = Intake("hal", NAME, (), ("a flag",), "", "the file is not JSON", UNREADABLE)
    return [
        graded(tmp_path, "ada", right), graded(tmp_path, "bob", squared),
        graded(tmp_path, "cat", squared), graded(tmp_path, "dan", [*right[:3], 0]),
        graded(tmp_path, "eve", None), not_run(gone, 4, "k"), not_run(lost, 4, "k"),
    ]  # fmt: skip


def test_a_class_is_counted(tmp_path: Path) -> None:
    one = tally(class_of(tmp_path)).exercises[NAME]
    assert sorted(one.scores) == [0, 0, 0, 3, 4]
    assert one.quartiles == (0, 0, 0, 3, 4)
    assert one.share == 7 / 20
    assert [(case.right, case.count) for case in one.cases] == [(2, 5), (2, 5), (2, 5), (1, 5)]
    assert one.mistakes == {"squared": 2}
    assert one.outcomes == {RAN: 5, MISSING: 1, UNREADABLE: 1}
    assert one.handed_in == 6


def test_the_report_says_in_text_what_to_teach_again(tmp_path: Path, spec: Spec) -> None:
    text = Page_(class_report(class_of(tmp_path), {NAME: spec})).text
    where = "01 Double it (lesson 00_start): "
    assert f"{where}1 of 5 have it right: twice" in text
    assert f"{where}2 of 6: You multiplied each number by itself." in text
    assert "7 students, 1 exercises, 7 results. Students' code was shut in by: bwrap 5." in text
    assert "01 Double it 5 4 35% 0.0 0.0 0.0 3.0 4.0" in text
    assert "hidden numbers 1 of 5 20%" in text
    assert "hal 01_double the file is not JSON" in text
    assert "nothing was handed in" not in text


def test_a_class_that_has_all_right_or_nothing_is_told_so(tmp_path: Path, spec: Spec) -> None:
    right = class_of(tmp_path)[:1]
    for results in (right, [], class_of(tmp_path)[-1:]):
        text = Page_(class_report(results, {NAME: spec})).text
        assert "Nothing stands out" in text
        assert "None was recognised." in text


def test_cases_with_several_names_are_named_by_their_group() -> None:
    several = [result(str(n), cases=[case(name=f"twice {n}", group="numbers")]) for n in range(3)]
    assert tally(several).exercises[NAME].cases[0].name == "numbers"
    several = [result(str(n), cases=[case(name=f"twice {n}")]) for n in range(3)]
    assert tally(several).exercises[NAME].cases[0].name == "twice 0 (and the like)"


def test_without_plotly_there_are_the_tables(
    tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(grader, "class_charts", raising=False)
    monkeypatch.setitem(sys.modules, "memsim.lab.grader.class_charts", None)
    page = class_report(class_of(tmp_path), {NAME: spec})
    assert "There are no charts: " in page
    assert "<script" not in page
    assert "01 Double it 5 4 35%" in Page_(page).text


def hostile_class(tmp_path: Path, spec: Spec) -> tuple[list[Result], dict[str, Spec]]:
    evil = replace(spec, title=ATTACK, lesson=ATTACK, mistakes={"squared": ATTACK})
    results = [replace(r, student=f"{r.student}{ATTACK}", flags=(ATTACK,),
               cases=[{**c, "name": ATTACK, "group": ATTACK} for c in r.cases])
               for r in class_of(tmp_path)]  # fmt: skip
    return results, {NAME: evil}


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_either_page(
    scheme: Any, tmp_path: Path, spec: Spec, browser: Browser
) -> None:
    own = [result(cases=[case(), case(score=0.0), hidden(0.0)], flags=("a flag",))]
    write_class_report(tmp_path / "class.html", class_of(tmp_path), {NAME: spec})
    (tmp_path / "ada.html").write_text(feedback("ada", own, {NAME: spec}))
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)  # axe is a script
    page = context.new_page()
    for name in ("class", "ada"):
        page.goto((tmp_path / f"{name}.html").as_uri())
        assert faults(page) == []
    context.close()


#: Texts that a chart has at its edge, or beyond it.
CUT = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(chart => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll('.infolayer text, .xaxislayer-above text')]
    .filter(text => text.textContent).filter(text => {
      const it = text.getBoundingClientRect();
      return it.left < box.left || it.right > box.right || it.bottom > box.bottom - 4;
    }).map(text => text.textContent);
})"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_draws_its_charts_without_a_network(
    scheme: Any, tmp_path: Path, spec: Spec, page: Page
) -> None:
    results, specs = hostile_class(tmp_path, spec)
    path = tmp_path / "class.html"
    write_class_report(path, results, specs)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append("an alert"))
    page.on("request", lambda request: said.append(request.url[:99]))
    page.emulate_media(color_scheme=scheme)
    page.goto(path.as_uri())
    for name in ("points", "cases", "mistakes"):
        page.locator(f"#chart-{name} .main-svg").first.wait_for()
    elsewhere = [line for line in said if not line.startswith(("file:", "data:", "blob:"))]
    assert elsewhere == []
    assert page.locator("img[src=x]").count() == 0
    for width in (1200, 400, 320):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(500)  # Plotly draws again a moment after the window changed
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(CUT) == []
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
