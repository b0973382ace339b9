"""check() says what happened, whatever a student's code does, and can be asked again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from memsim.lab import Exercise, exercise
from memsim.lab.cases import Case
from memsim.lab.guard import MAX_PRINTED, run_guarded
from memsim.lab.hints import FILE
from memsim.lab.plain import NotPlain, plain
from memsim.lab.release import cut_exercises
from memsim.lab.skeleton import new_exercise
from memsim.lab.verdict import Verdict, recognised
from memsim.mm.page_alloc import buddy
from memsim.views.side import SideBySide
from memsim.words.errors import BadInput

ROOT = Path(__file__).parents[1]


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """The folder of a student's exercises: 01_double, handed out."""
    new_exercise(tmp_path, "01_double")
    cut_exercises(tmp_path)
    for path in (tmp_path / "solutions").rglob("*"):
        if path.is_file():
            path.unlink()
    return tmp_path / "exercises"


def checked(folder: Path, answers: Any) -> str:
    answers.__name__ = "answers"
    return str(Exercise("01_double", folder=folder).check(answers))


def loop(given: Any) -> Any:
    while True:
        pass


def loop_that_catches_all(given: Any) -> Any:
    while True:
        try:
            while True:
                pass
        except BaseException:
            continue


def print_without_end(given: Any) -> Any:
    while True:
        print("all work and no play")


def recurse(given: Any) -> Any:
    return recurse(given)


def divide(given: Any) -> Any:
    return 1 // 0


def leave(given: Any) -> Any:
    sys.exit("bye")


def a_set(given: Any) -> Any:
    return set(given["numbers"])


def nothing(given: Any) -> Any:
    return None


def too_few(given: Any) -> Any:
    return []


def no_argument() -> Any:
    return []


@pytest.mark.parametrize(
    ("student", "said"),
    [
        (loop, "takes longer than 2 s: is there a loop without an end?"),
        (loop_that_catches_all, "takes longer than 2 s"),
        (print_without_end, f"prints without end: stopped after {MAX_PRINTED} characters"),
        (recurse, "calls itself too deeply"),
        (divide, "raises ZeroDivisionError: "),
        (leave, "ends Python: exit() has no place here"),
        (a_set, "it has a set, not plain data; return a list"),
        (nothing, "the answer has no entry 0"),
        (too_few, "the answer has no entry 0"),
        (no_argument, "raises TypeError: "),
    ],
)
def test_whatever_code_does_is_said_in_words(handed: Path, student: Any, said: str) -> None:
    text = checked(handed, student)
    assert said in text
    assert "0 of 2 visible cases are right; 2 more are looked at when it is graded." in text
    assert "Traceback" not in text


def test_it_stays_usable_afterwards(handed: Path) -> None:
    checked(handed, loop)
    assert "2 of 2" in checked(handed, lambda given: [2 * n for n in given["numbers"]])


def test_a_known_mistake_is_answered_in_its_own_words(handed: Path) -> None:
    text = checked(handed, lambda given: [n * n for n in given["numbers"]])
    assert text.endswith("You multiplied each number by itself.")
    assert "This is practice, not the grade." in text


def named(*cases: tuple[Any, Any, dict[str, Any]]) -> str:
    """The mistake that is named for (expected, got, what each mistake would answer)."""
    verdicts = [
        Verdict(Case("", [], expected, mistakes=mistakes), float(got == expected), got)
        for expected, got, mistakes in cases
    ]
    return recognised(verdicts)


def test_a_mistake_is_named_only_if_it_explains_half_of_what_is_wrong() -> None:
    zero, other, unknown = (1, 0, {"a": 0}), (2, 0, {"a": 5, "b": 0}), (3, 0, {})
    assert named(zero) == "a"
    assert named(zero, zero, other) == "a"
    assert named(zero, other) in ("a", "b")
    assert named(zero, other, unknown) == ""
    assert named((1, 1, {"a": 0})) == ""


def test_of_two_mistakes_that_explain_as_much_the_one_that_spoils_less_is_named() -> None:
    assert named((1, 0, {"wide": 0, "narrow": 0}), (2, 2, {"wide": 0})) == "narrow"
    assert named((1, 0, {"narrow": 0, "wide": 0}), (2, 2, {"wide": 0})) == "narrow"


def test_what_it_prints_is_shown_and_nobody_is_asked_anything(handed: Path) -> None:
    def talks(given: Any) -> Any:
        print("numbers:", given["numbers"])
        return [input("and now? ")]

    text = checked(handed, talks)
    assert "input() has no place here" in text
    assert "It printed:\nnumbers: [" in text
    assert input.__name__ == "input"


def test_too_few_rows_are_told_and_reveal_nothing(handed: Path) -> None:
    text = checked(handed, lambda given: [2 * n for n in given["numbers"][:2]])
    assert "2 of 2 visible cases are right" in text
    assert "Your list has 2 entries; there are 4 rows." in text


def test_behind_one_that_takes_too_long_none_is_tried(handed: Path) -> None:
    assert "wrong: twice 56: not tried: another case takes too long" in checked(handed, loop)


def test_a_float_for_a_whole_number_is_told_apart(handed: Path) -> None:
    text = checked(handed, lambda given: [2.0 * n for n in given["numbers"]])
    assert "expected 104, a whole number, got 104.0, a number with a point" in text


def test_what_a_judge_expects_is_not_shown_as_the_answer() -> None:
    own = Exercise("26_place_unmovable", folder=ROOT / "exercises")
    shown = own.check(_named(nothing, next(iter(own._puzzle.cases)).script[0][1]))._repr_html_()
    assert "least" not in shown.split("</thead>")[1].split("is not of the form")[0]


def test_functions_are_those_of_the_notebook(handed: Path) -> None:
    names = {"exercise": Exercise("01_double", folder=handed)}
    exec("checked = exercise.check()", names)
    assert "answers is not defined: run the cell that defines it" in str(names["checked"])
    exec("answers = 5\nchecked = exercise.check()", names)
    assert "answers is a whole number; should be what the cell defines" in str(names["checked"])
    exec("def answers(given): return [2 * n for n in given['numbers']]", names)
    exec("checked = exercise.check()", names)
    assert names["checked"].ok


def test_a_student_cannot_change_what_the_code_is_given(handed: Path) -> None:
    def cheat(given: Any) -> Any:
        given["numbers"].clear()
        return []

    own = Exercise("01_double", folder=handed)
    before = own.given["numbers"][:]
    cheat.__name__ = "answers"
    own.check(cheat)
    assert own.given["numbers"] == before


def test_a_changed_memsim_is_noticed(handed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buddy, "expand", lambda *args: 0)
    text = checked(handed, lambda given: [2 * n for n in given["numbers"]])
    assert "expand is not memsim's own any more: restart the kernel." in text


def test_a_changed_method_is_noticed_and_nothing_is_right_then(
    handed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Exercise("01_double", folder=handed)
    monkeypatch.setattr(exercise.Hints, "next", lambda self: "no hint")
    result = own.check(nothing)
    assert not result.ok
    assert "Hints.next is not memsim's own any more" in str(result)


def test_hints_come_one_by_one_and_are_counted_beside_the_notebooks(handed: Path) -> None:
    own = Exercise("01_double", folder=handed)
    assert str(own.hint()) == "Hint 1 of 3, the idea: The idea."
    own.hint()
    again = Exercise("01_double", folder=handed)
    assert "nearly the code" in again.hint()
    assert json.loads((handed / FILE).read_text()) == {"01_double": 3}
    assert len(str(again.hint()).splitlines()) == 3


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"01_double": "many"}', '{"01_double": 1e400}'])
def test_a_broken_count_of_hints_counts_anew(handed: Path, broken: str) -> None:
    (handed / FILE).write_text(broken)
    assert "Hint 1 of 3" in Exercise("01_double", folder=handed).hint()


def test_the_button_gives_the_next_hint(handed: Path) -> None:
    box = Exercise("01_double", folder=handed).hints()
    box.button.click()
    assert "the idea" in box.said.value
    box.button.click()
    assert "what to use" in box.said.value
    assert box.button.description == "A hint (2 of 3 taken)"


def test_the_table_escapes_what_a_student_wrote(handed: Path) -> None:
    result = Exercise("01_double", folder=handed)
    shown = result.check(_named(lambda given: ["<script>alert(1)</script>"] * 4))._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def _named(function: Any, name: str = "answers") -> Any:
    function.__name__ = name
    return function


def test_an_exercise_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"99_none: no such exercise in .*; open the"):
        Exercise("99_none", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "a list; should be a dict"),
        ('{"exercise": {}}', "exercise: level: is missing"),
        ('{"exercise": {"level": NaN}}', "is not JSON: NaN in it"),
    ],
)
def test_a_broken_file_of_an_exercise_is_one_line(handed: Path, content: str, said: str) -> None:
    (handed / "cases" / "01_double.json").write_text(content)
    with pytest.raises(BadInput) as error:
        Exercise("01_double", folder=handed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_student_has_no_hidden_cases_to_check(handed: Path) -> None:
    with pytest.raises(BadInput, match="its hidden cases are not here; set MEMSIM_COURSE"):
        Exercise("01_double", folder=handed).check_all(_named(nothing))


def test_another_puzzle_is_only_where_there_is_one(handed: Path) -> None:
    with pytest.raises(BadInput, match="no puzzle 7; those to practise with are 1, 2, 3"):
        Exercise("01_double", puzzle=7, folder=handed)


def test_the_first_step_where_two_allocators_part_is_shown_side_by_side() -> None:
    own = Exercise("08_expand", folder=ROOT / "exercises")

    class Buddy:
        """Keeps the upper half."""

        def __init__(self, largest: int) -> None:
            self.free_area: list[list[int]] = [[] for _ in range(largest)] + [[0]]

        def free_lists(self) -> Any:
            return self.free_area

        def alloc(self, order: int) -> Any:
            pfn = self.free_area[5].pop()
            for high in range(4, order - 1, -1):
                self.free_area[high].insert(0, pfn)
                pfn += 1 << high
            return pfn

    result = own.check(Buddy)
    assert result.mistake == "keeps_upper_half"
    assert "expected from call 3, alloc(0): 0, got 31" in str(result)
    side = result.side()
    assert isinstance(side, SideBySide)
    assert side.first > 0
    assert "Yours" in side.text(side.first)
    assert "the first difference is here" in side.text(side.first)


def test_an_answer_that_is_no_free_lists_has_no_player() -> None:
    own = Exercise("08_expand", folder=ROOT / "exercises")

    class Buddy:
        def __init__(self, largest: int) -> None: ...

        def free_lists(self) -> Any:
            return [["pfn"], 5]

        def alloc(self, order: int) -> Any:
            return 0

    assert own.check(Buddy).side() is None


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1, 2}, "a set, not plain data; return a list"),
        (object(), "a object, not plain data"),
        (float("nan"), "nan"),
        (1 << 5000, "a number of 5001 bits"),
        ({(1, 2): 3}, "a dict with a tuple as a key"),
        ("x" * 100_000, "a text of 100000 characters"),
        ([0] * 200_000, "more than 100000 entries"),
    ],
)
def test_what_is_no_plain_data_is_refused(value: Any, said: str) -> None:
    with pytest.raises(NotPlain, match=said):
        plain(value)


def test_a_list_in_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotPlain):
        plain(endless)


def test_plain_data_is_as_in_json() -> None:
    value = {1: (True, 2, 2.5, None), "a": [b"".decode()]}
    assert plain(value) == {"1": [True, 2, 2.5, None], "a": [""]}
    assert plain(True) is True


def test_an_interrupt_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_guarded(interrupted, 1).failure == "was interrupted"
