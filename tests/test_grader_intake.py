"""What is handed in becomes code to run, or a clear word on why not; the rest is read."""

from __future__ import annotations

import json
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memsim.lab.grader.handed_in import MAX_BYTES, Unreadable
from memsim.lab.grader.intake import SOMEBODY, intakes, sort_files
from memsim.lab.grader.notebook import Form, cells_of, form_of, without_magics
from memsim.lab.grader.results import ASIDE, MISSING, NOTHING, UNREADABLE, Intake
from memsim.words.errors import BadInput
from tests.exercises import NAMES, ROOT
from tests.submissions import (
    CHECK,
    NAME,
    RIGHT,
    SETUP,
    answer,
    code,
    course,
    hand_in,
    notebook,
)

HONEST = (SETUP, RIGHT)
MEND = "mend that, or ask for the .ipynb"
NO_NOTEBOOK = "is no notebook that can be read, and its name tells no exercise; ask for the .ipynb"


@pytest.fixture
def form(tmp_path: Path) -> Form:
    return form_of(course(tmp_path / "course"), NAME)


def taken(path: Path, form: Form, *roster: str) -> dict[str, Intake]:
    """What there is of 01_double, by student."""
    found = intakes(sort_files(path, [NAME], roster), {NAME: form}, roster)
    return {intake.student: intake for intake in found}


def taken_beside_bob(folder: Path, content: bytes, form: Form) -> Intake:
    """Ada's notebook; Bob's is honest, and nothing may happen to it."""
    hand_in(folder, {f"ada/{NAME}.ipynb": content, f"bob/{NAME}.ipynb": notebook()})
    both = taken(folder, form)
    assert both["bob"].cells == HONEST
    assert (both["bob"].flags, both["bob"].problem) == ((), "")
    return both["ada"]


# What a notebook may be like.

BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "the file is not JSON: Expecting value"),
    "no notebook": (b"PK\x03\x04 hello", "the file is not JSON"),
    "a list": (b"[]", "the file is no notebook: a list"),
    "no format": (b'{"cells": []}', "it has no nbformat"),
    "no cells": (b'{"nbformat": 4, "cells": {}}', "it has no cells"),
    "huge": (b" " * (MAX_BYTES + 1), "is larger than 20 MiB"),
    "many lists": (b"[" + b"[]," * 300_000 + b"0]", "has more entries than a notebook needs"),
    "many numbers": (b"[" + b"1," * 3_000_000 + b"0]", "has more entries than a notebook needs"),
    "nested 65": (notebook(x=json.loads("[" * 64 + "]" * 64)), "is nested deeper than 64"),
    "nested 100,000": (b"[" * 100_000 + b"]" * 100_000, "is nested deeper than 64"),
    "NaN": (notebook(x=float("nan")), "is not JSON: NaN in it"),
    "infinite": (notebook(x=float("-inf")), "is not JSON: -Infinity in it"),
    "1e999": (notebook().replace(b'"metadata": {}', b'"metadata": {"a": 1e999}', 1),
              "a number in it is too large"),
    "a number of 5,000 digits": (b'{"nbformat": ' + b"9" * 5000 + b"}", "is not JSON"),
    "UTF-16": (notebook().decode().encode("utf-16"), "is not UTF-8: byte 0"),
    "Latin-1": (notebook().replace(b"given", b"gel\xf6st"), "is not UTF-8: byte"),
    "cut off": (notebook()[:-20], "is not JSON"),
    "nbformat 3": (notebook(nbformat=3), "is of nbformat 3; open it in JupyterLab and save it"),
    "nbformat 99": (notebook(nbformat=99), "is of nbformat 99"),
    "nbformat 10^99": (notebook(nbformat=10**99), "is of nbformat a huge number"),
    "nbformat true": (notebook(nbformat=True), "it has no nbformat"),
    "nbformat 4.0": (notebook(nbformat=4.0), "it has no nbformat"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_notebook_is_no_grade_and_said_in_words(
    name: str, tmp_path: Path, form: Form
) -> None:
    content, said = BAD[name]
    intake = taken_beside_bob(tmp_path / "in", content, form)
    assert said in intake.problem
    assert (intake.outcome, intake.cells) == (UNREADABLE, ())
    assert "\n" not in intake.problem


def test_nesting_of_64_is_read(tmp_path: Path, form: Form) -> None:
    deep = notebook(code(SETUP), answer(), code(CHECK, "check"), x=json.loads("[" * 63 + "]" * 63))
    assert taken_beside_bob(tmp_path / "in", deep, form).cells == HONEST


def test_a_byte_order_mark_is_fine(tmp_path: Path, form: Form) -> None:
    marked = b"\xef\xbb\xbf" + notebook()
    assert taken_beside_bob(tmp_path / "in", marked, form).cells == HONEST


def test_bytes_of_any_kind_are_a_problem_in_words_never_an_error(
    form: Form, tmp_path: Path
) -> None:
    rng, whole = random.Random(8), notebook()
    for _ in range(400):
        broken = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(broken))
            broken[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        intake = next(
            iter(taken(hand_in(tmp_path / "in", {f"{NAME}.ipynb": bytes(broken)}), form).values())
        )
        assert intake.cells or intake.problem


@pytest.mark.parametrize(
    "odd",
    [
        None, [], "text", 7, {}, {"cell_type": "code"}, {"cell_type": "code", "source": 7},
        {"cell_type": "code", "source": ["a", 7]}, {"cell_type": [], "source": ""},
        {"source": "answers = 1"},
    ],
)  # fmt: skip
def test_what_is_no_cell_is_flagged_and_the_others_count(odd: object, form: Form) -> None:
    cells = cells_of(notebook(odd, code(SETUP), answer(), code(CHECK, "check")), form)
    assert cells.sources == HONEST
    assert cells.flags == ("something in it is no cell",)


@pytest.mark.parametrize(
    "metadata",
    [None, [], {"nbgrader": None}, {"nbgrader": []}, {"nbgrader": {"grade_id": ["answer"]}}],
)
def test_odd_metadata_marks_nothing(metadata: object, form: Form) -> None:
    odd = {**code("x = 1"), "metadata": metadata}
    cells = cells_of(notebook(odd, answer(), code(CHECK, "check")), form)
    assert cells.sources == ("x = 1", RIGHT)


# Which cells run.


def test_every_notebook_as_handed_out_runs_all_but_predict_check_and_hints() -> None:
    for name in NAMES:
        cells = cells_of((ROOT / "exercises" / f"{name}.ipynb").read_bytes(), form_of(ROOT, name))
        assert (cells.flags, cells.problem) == ((), "")
        assert cells.sources[0].startswith("from memsim.lab import Exercise")
        assert "raise NotImplementedError" in cells.sources[-1]
        assert len(cells.sources) == (3 if name.startswith("10_") else 2), name


def test_the_author_s_own_notebook_has_nothing_to_flag() -> None:
    for name in NAMES:
        cells = cells_of((ROOT / "solutions" / f"{name}.ipynb").read_bytes(), form_of(ROOT, name))
        assert (cells.flags, cells.problem) == ((), "")
        assert not [source for source in cells.sources if "HIDDEN TESTS" in source]


def test_code_of_more_than_a_mebibyte_is_no_notebook_s(form: Form) -> None:
    with pytest.raises(Unreadable, match="has more than 1 MiB of code"):
        cells_of(notebook(answer("#" + "x" * (1 << 20))), form)
    outputs = {**answer(), "outputs": [{"data": "x" * (1 << 21)}]}
    assert cells_of(notebook(outputs), form).problem == ""


def test_helpers_in_other_cells_run_in_order(form: Form) -> None:
    cells = cells_of(notebook(code("def twice(n): return 2 * n"), answer(), code("z = 1")), form)
    assert cells.sources == ("def twice(n): return 2 * n", RIGHT, "z = 1")


def test_a_source_of_lines_is_joined(form: Form) -> None:
    assert cells_of(notebook(answer(["a = 1\n", "b = 2"])), form).sources == ("a = 1\nb = 2",)


@pytest.mark.parametrize(
    ("earlier", "sources"),
    [
        ("def answers(given):\n    return []", (RIGHT,)),
        ("answers = None", (RIGHT,)),
        ("class answers: pass", (RIGHT,)),
        ("def half_of_a_split_cell(n):\n    return n", None),
        ("import math", None),
    ],
)
def test_of_a_tag_that_is_there_twice_the_last_counts(
    earlier: str, sources: tuple[str, ...] | None, form: Form
) -> None:
    cells = cells_of(notebook(answer(earlier), answer(), code(CHECK, "check")), form)
    assert cells.sources == (sources or (earlier, RIGHT))
    assert cells.flags == ("cells marked answer: 2; the last that is code counts",)


def test_the_last_counts_though_it_is_wrong_or_does_not_compile(form: Form) -> None:
    for last in ("def answers(given): return []", "def answers(given:\n  ?", "1 / 0\nanswers = 3"):
        cells = cells_of(notebook(answer(), answer(last), code(CHECK, "check")), form)
        assert cells.sources == (last,)


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([code(SETUP), code(CHECK, "check")], "the answer cell is missing"),
        ([code(RIGHT), code(CHECK, "check")], "the answer cell is missing"),
        ([code(RIGHT, "Answer")], "the answer cell is missing"),
        ([answer(kind="markdown")], "the answer cell was turned to markdown"),
        ([answer(kind="raw")], "the answer cell was turned to raw"),
        ([answer(kind="CODE")], "the answer cell was turned to raw"),
    ],
)
def test_an_answer_that_is_missing_or_no_code_is_0_and_flagged(
    cells: list[object], problem: str, tmp_path: Path, form: Form
) -> None:
    intake = taken_beside_bob(tmp_path / "in", notebook(*cells), form)
    assert (intake.problem, intake.outcome, intake.cells) == (problem, MISSING, ())


@pytest.mark.parametrize("check", ["print('full marks')", "", CHECK.replace("check()", "check(x)")])
def test_a_check_cell_is_never_run_and_a_changed_one_is_flagged(check: str, form: Form) -> None:
    cells = cells_of(notebook(answer(), code(check, "check")), form)
    assert cells.sources == (RIGHT,)
    assert cells.flags == ("the check cell was changed; it is not run",)


def test_a_check_cell_that_is_gone_is_flagged(form: Form) -> None:
    assert cells_of(notebook(answer()), form).flags == (
        "the check cell is missing, which costs nothing",
    )


@pytest.mark.parametrize(
    "source",
    [
        "exercise.predict()",
        "# which?\nexercise.hints()\n",
        "exercise.hint()",
        "exercise.check()",
        CHECK,
    ],
)
def test_cells_that_only_ask_memsim_do_not_run(source: str, form: Form) -> None:
    assert cells_of(notebook(code(source), answer()), form).sources == (RIGHT,)


def test_what_a_submission_says_of_points_kernel_and_outputs_counts_for_nothing(form: Form) -> None:
    told = json.loads(notebook(code(SETUP), answer(), code(CHECK, "check")))
    plain = cells_of(json.dumps(told).encode(), form)
    told["metadata"] = {"kernelspec": {"name": "bash"}, "celltoolbar": "x", "points": 1e9}
    for cell in told["cells"]:
        cell["outputs"] = [{"output_type": "stream", "text": "12/12"}]
        cell["metadata"].setdefault("nbgrader", {}).update(points=99, grade=True, solution=True)
    assert cells_of(json.dumps(told).encode(), form) == plain


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("%%time\nx = 1", "\nx = 1"),
        ("!pip install x\nx = 1", "\nx = 1"),
        ("if x:\n    %time f()\ny = 1", "if x:\n    pass\ny = 1"),
        ("answers?\n?answers\nanswers??", "\n\n"),
        ("x = (a\n% b\n!= c)", "x = (a\n% b\n!= c)"),
        ("x = [\n    a\n    % b,\n]\n%ls", "x = [\n    a\n    % b,\n]\n"),
        (
            'x = """\n%not a line of code\n!nor this\n"""',
            'x = """\n%not a line of code\n!nor this\n"""',
        ),
        ("x = '('\n%ls", "x = '('\n"),
        ("# don't (\n%ls", "# don't (\n"),
        ("x = 'it\\'s ('\n%ls\ny", "x = 'it\\'s ('\n\ny"),
        ("x = a % b\ny = a != b", "x = a % b\ny = a != b"),
    ],
)
def test_lines_of_ipython_are_dropped_and_code_that_looks_alike_stays(
    source: str, kept: str
) -> None:
    assert without_magics(source) == kept


# Whose is what.

LAYOUTS = (
    f"ada/{NAME}.ipynb",
    f"ada/exercises/{NAME}.ipynb",
    f"submitted/ada/week1/{NAME}.ipynb",
    f"ada_{NAME}.ipynb",
    f"{NAME}_ada.ipynb",
    f"ada/ada_{NAME}.ipynb",
)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", LAYOUTS)
def test_each_layout_tells_student_and_exercise(
    place: str, zipped: bool, tmp_path: Path, form: Form
) -> None:
    files = {place: notebook(), place.replace("ada", "bob"): notebook()}
    path = in_zip(tmp_path / "in.zip", files) if zipped else hand_in(tmp_path / "in", files)
    for roster in ((), ("ada", "bob")):
        both = taken(path, form, *roster)
        assert {name: intake.cells for name, intake in both.items()} == {
            "ada": HONEST,
            "bob": HONEST,
        }
        assert not both["ada"].flags


@pytest.mark.parametrize("top", ["in", "homework of week 1"])
def test_a_folder_around_all_is_nobody_s(top: str, tmp_path: Path, form: Form) -> None:
    files = {f"{top}/{name}/{NAME}.ipynb": notebook() for name in ("ada", "bob")}
    assert set(taken(in_zip(tmp_path / "in.zip", files), form, "ada", "bob")) == {"ada", "bob"}


def test_one_student_on_a_roster_of_many_is_no_folder_around_all(
    tmp_path: Path, form: Form
) -> None:
    files = {f"ada/week1/{NAME}.ipynb": notebook()}
    found = taken(hand_in(tmp_path / "in", files), form, "ada", "bob")
    assert found["ada"].cells == HONEST
    assert (found["bob"].outcome, found["bob"].problem) == (MISSING, "nothing was handed in")
    stranger = taken(hand_in(tmp_path / "x", {f"eve/w/{NAME}.ipynb": notebook()}), form, "ada")
    assert stranger["eve"].flags == ("is not on the roster",)


def test_a_sole_folder_spelled_otherwise_hands_in_for_nobody_else(
    tmp_path: Path, form: Form
) -> None:
    folder = hand_in(tmp_path / "in", {f"ADA/bob/{NAME}.ipynb": notebook()})
    found = taken(folder, form, "ada", "bob")
    assert found["ada"].flags == ("handed in as 'ADA'",)
    assert found["bob"].outcome == MISSING


def test_students_beside_submitted_are_not_forgotten(tmp_path: Path, form: Form) -> None:
    files = {f"{name}/{NAME}.ipynb": notebook() for name in ("submitted/ada", "bob", "source/x")}
    found = taken(hand_in(tmp_path / "in", files), form, "ada", "bob")
    assert {name: intake.cells for name, intake in found.items()} == {"ada": HONEST, "bob": HONEST}


@pytest.mark.parametrize("roster", [("ada", "obrien", "li-xl"), ()])
@pytest.mark.parametrize("zipped", [False, True])
def test_submitted_takes_nothing_away_from_other_forms_beside_it(
    zipped: bool, roster: tuple[str, ...], tmp_path: Path, form: Form
) -> None:
    places = (f"submitted/li-xl/week1/{NAME}", f"obrien_{NAME}", f"ada/{NAME}", f"eve/{NAME}")
    files = {f"{place}.ipynb": notebook() for place in places}
    files |= {f"source/week1/{NAME}.ipynb": b"", f"autograded/ada/{NAME}.ipynb": b""}
    if zipped:
        around = {f"in/{place}": content for place, content in files.items()}
        path = in_zip(tmp_path / "in.zip", around)
    else:
        path = hand_in(tmp_path / "in", files)
    found = taken(path, form, *roster)
    assert {name: intake.cells for name, intake in found.items()} == dict.fromkeys(
        ("ada", "eve", "li-xl", "obrien"), HONEST
    )
    assert sort_files(path, [NAME], roster).notes == (
        "autograded: nbgrader's folder beside submitted, 1 files, not handed in",
        "source: nbgrader's folder beside submitted, 1 files, not handed in",
    )


def test_a_file_beside_submitted_that_is_nobody_s_is_told(tmp_path: Path) -> None:
    files = {f"submitted/ada/{NAME}.ipynb": notebook(), f"{NAME}.ipynb": notebook()}
    found = sort_files(hand_in(tmp_path / "in", files), [NAME], ["ada"])
    assert found.notes == (
        f"{NAME}.ipynb: its name tells no student; if it is an answer, rename it to "
        "ID_05_name.ipynb",
    )
    assert "" in found.others


@pytest.mark.parametrize("beside", ["readme.txt", "roster.csv"])
def test_a_file_that_is_no_notebook_keeps_no_folder_from_being_around_all(
    beside: str, tmp_path: Path, form: Form
) -> None:
    files = {f"w1/{name}/{NAME}.ipynb": notebook() for name in ("ada", "bob")} | {beside: b""}
    path = hand_in(tmp_path / "in", files)
    found = taken(path, form, "ada", "bob")
    assert (found["ada"].cells, found["bob"].cells) == (HONEST, HONEST)
    assert sort_files(path, [NAME], ["ada", "bob"]).notes[0].startswith(f"{beside}: its name")


@pytest.mark.parametrize("student", ["me", "submitted", "submissions"])
def test_a_student_may_be_called_that(student: str, tmp_path: Path, form: Form) -> None:
    files = {f"{name}/{NAME}.ipynb": notebook() for name in (student, "ada")}
    found = taken(hand_in(tmp_path / "in", files), form, "ada", student)
    assert {name: intake.cells for name, intake in found.items()} == {
        "ada": HONEST, student: HONEST,
    }  # fmt: skip


@pytest.mark.parametrize("alike", ["\u212aim", "\u017fam", "\u0430da", "ada\u200b"])
def test_letters_that_look_alike_are_not_the_same(alike: str, tmp_path: Path, form: Form) -> None:
    files = {f"{alike}/{NAME}.ipynb": notebook(), f"x/{NAME}.ipynb": notebook()}
    found = taken(hand_in(tmp_path / "in", files), form, "kim", "sam", "ada")
    assert [found[name].outcome for name in ("kim", "sam", "ada")] == [MISSING] * 3


def test_a_file_s_name_does_not_count_before_the_student_s_folder(
    tmp_path: Path, form: Form
) -> None:
    files = {f"{NAME}_ada.ipynb": notebook(answer("a = 1")), f"ada/{NAME}.ipynb": notebook()}
    files[f"ada_{NAME}.ipynb"] = notebook(answer("a = 1"))
    ada = taken(hand_in(tmp_path / "in", files), form, "ada")["ada"]
    assert ada.cells == HONEST
    assert ada.flags == (f"3 files of it; ada/{NAME}.ipynb counts",)


def test_a_notebook_alone_is_somebody_s(tmp_path: Path, form: Form) -> None:
    hand_in(tmp_path, {f"{NAME}.ipynb": notebook()})
    assert taken(tmp_path / f"{NAME}.ipynb", form)[SOMEBODY].cells == HONEST


def test_nbgrader_s_other_folders_are_nobody_s(tmp_path: Path, form: Form) -> None:
    files = {f"{top}/week1/{NAME}.ipynb": notebook() for top in ("source", "release")}
    files[f"submitted/ada/week1/{NAME}.ipynb"] = notebook()
    assert set(taken(hand_in(tmp_path / "in", files), form)) == {"ada"}


@pytest.mark.parametrize(
    ("place", "student", "flag"),
    [
        (f"eve/{NAME}.ipynb", "eve", "is not on the roster"),
        (f"ADA/{NAME}.ipynb", "ada", "handed in as 'ADA'"),
        (f"eve_{NAME}.ipynb", "eve", "is not on the roster"),
        (f"ada/bob_{NAME}.ipynb", "ada", "its name says 'bob'; the folder counts"),
        (f"ada/{NAME}-Copy1.ipynb", "ada", f"its name is '{NAME}-Copy1.ipynb'"),
        (f"ada/{NAME} (1).ipynb", "ada", f"its name is '{NAME} (1).ipynb'"),
        (f"=cmd\x1b[2J/{NAME}.ipynb", "=cmd\\x1b[2J", "the student's name has odd characters"),
        (f"-rf\n/{NAME}.ipynb", "-rf", "the student's name has odd characters"),
        (f"<b>x/{NAME}.ipynb", "<b>x", "the student's name has odd characters"),
    ],
)
def test_a_name_that_the_roster_does_not_have_is_flagged(
    place: str, student: str, flag: str, tmp_path: Path, form: Form
) -> None:
    found = taken(hand_in(tmp_path / "in", {place: notebook()}), form, "ada", "bob")
    assert flag in found[student].flags
    assert found[student].cells == HONEST
    assert found["bob"].outcome == MISSING


def test_a_name_that_is_no_text_is_flagged(tmp_path: Path, form: Form) -> None:
    folder = os.fsencode(tmp_path / "in") + b"/\xff\xfe"
    os.makedirs(folder)
    with open(folder + f"/{NAME}.ipynb".encode(), "wb") as file:
        file.write(notebook())
    (student,) = taken(tmp_path / "in", form)
    assert student == "\\udcff\\udcfe"


@pytest.mark.parametrize("copy", ["-Copy1", "_(1)", " (2)", " - Copy"])
def test_its_own_name_counts_before_a_copy_s(copy: str, tmp_path: Path, form: Form) -> None:
    files = {f"ada/{NAME}.ipynb": notebook(), f"ada/{NAME}{copy}.ipynb": notebook(answer("x = 1"))}
    ada = taken(hand_in(tmp_path / "in", files), form)["ada"]
    assert ada.cells == HONEST
    assert ada.flags == (f"2 files of it; ada/{NAME}.ipynb counts",)


def test_other_notebooks_are_noted_and_those_of_jupyter_are_not(tmp_path: Path) -> None:
    files = {
        f"ada/{NAME}.ipynb": b"", "ada/Untitled.ipynb": notebook(code("1")), "ada/notes.txt": b"",
        f"ada/.ipynb_checkpoints/{NAME}-checkpoint.ipynb": b"", f"__MACOSX/ada/._{NAME}.ipynb": b"",
        "ada/.DS_Store": b"", "ada/timestamp.txt": b"", "ada/~$notes.docx": b"",
    }  # fmt: skip
    found = sort_files(hand_in(tmp_path / "in", files), [NAME])
    assert found.notes == (
        "ada/Untitled.ipynb: is not the name of an exercise; if it is an answer, rename it to "
        "05_name.ipynb, as it was handed out",
        f"ada/notes.txt: {NO_NOTEBOOK}",
    )
    assert list(found.claims) == [("ada", NAME)]
    assert found.exercises == [NAME]


@pytest.mark.parametrize("roster", [("ada",), ()])
def test_a_file_in_no_folder_is_nobody_s_where_there_is_a_roster(
    roster: tuple[str, ...], tmp_path: Path, form: Form
) -> None:
    path = hand_in(tmp_path / "in", {f"ada/{NAME}.ipynb": notebook(), f"{NAME}.ipynb": notebook()})
    assert set(taken(path, form, *roster)) == ({"ada"} if roster else {"ada", SOMEBODY})


# What Canvas and Moodle pack.

CLASS = {
    "0007": {"name": "José García López", "canvas_id": "5001"},
    "ann": {"first_name": "Ann", "last_name": "Müller"},
    "bob": {"name": "Bob Example"},
    "bob2": {"name": "Bob Example", "canvas_id": "5009"},
}


@pytest.mark.parametrize(
    ("place", "student", "flags"),
    [
        (f"garcíalópezjosé_5001_901_{NAME}.ipynb", "0007", ()),
        (f"whoever_5001_901_{NAME}-2.ipynb", "0007", ()),
        (f"garcíalópezjosé_LATE_77_901_{NAME}.ipynb", "0007", ("late, as Canvas says",)),
        (f"müllerann_78_902_{NAME}.ipynb", "ann", ()),
        (f"week1/müllerann_78_902_{NAME}.ipynb", "ann", ()),
        (f"Ann Müller_700_assignsubmission_file_/{NAME}.ipynb", "ann", ()),
        (f"M\u00fcller Ann_700_assignsubmission_file_/bob/{NAME}.ipynb", "ann", ()),
        (f"Mu\u0308ller Ann_700_assignsubmission_file_{NAME}.ipynb", "ann", ()),
        (f"Ann Müller_7_assignsubmission_file_Bob_8_assignsubmission_file_{NAME}.ipynb", "ann", ()),
        (f"w1/García López José_9_assignsubmission_file_/{NAME}.ipynb", "0007", ()),
    ],
)
@pytest.mark.parametrize("zipped", ["no", "yes", "in a folder"])
def test_what_sites_pack_is_known_by_the_roster(
    place: str, student: str, flags: tuple[str, ...], zipped: str, tmp_path: Path, form: Form
) -> None:
    files = {place: notebook(), f"bob/{NAME}.ipynb": notebook(answer("x = 1"))}
    if zipped == "no":
        path = hand_in(tmp_path / "in", files)
    else:
        (tmp_path / "in").mkdir()
        inner = in_zip(tmp_path / "in" / "downloaded.zip", files)
        path = inner if zipped == "yes" else inner.parent
    found = sort_files(path, [NAME], CLASS)
    told = {i.student: i for i in intakes(found, {NAME: form}, CLASS)}
    assert (told[student].cells, told[student].flags) == (HONEST, flags)
    assert told["bob"].cells == ("x = 1",)
    assert set(told) == set(CLASS)


def test_of_namesakes_nobody_is_given_0_and_a_number_tells_them_apart(
    tmp_path: Path, form: Form
) -> None:
    files = {
        f"Bob Example_700_assignsubmission_file_/{NAME}.ipynb": notebook(),
        f"Eve_701_assignsubmission_file_/{NAME}.ipynb": notebook(),
        f"ann/{NAME}.ipynb": notebook(),
    }
    path = hand_in(tmp_path / "in", files)
    found = sort_files(path, [NAME], CLASS)
    told = {intake.student: intake.outcome for intake in intakes(found, {NAME: form}, CLASS)}
    assert told == {"ann": "", "bob": UNREADABLE, "bob2": UNREADABLE, "0007": MISSING}
    assert "is the name of bob, bob2: rename the folder to the id" in found.notes[0]
    assert "'Eve' is no name on the roster" in found.notes[1]
    by_number = hand_in(tmp_path / "canvas", {f"bobexample_5009_1_{NAME}.ipynb": notebook()})
    assert list(sort_files(by_number, [NAME], CLASS).claims) == [("bob2", NAME)]


def test_of_two_that_canvas_packed_the_newer_counts(tmp_path: Path, form: Form) -> None:
    files = {
        f"x_5001_99_{NAME}.ipynb": notebook(answer("x = 1")),
        f"x_LATE_5001_101_{NAME}-1.ipynb": notebook(),
    }
    found = sort_files(hand_in(tmp_path / "in", files), [NAME], CLASS)
    (intake, *_) = intakes(found, {NAME: form}, CLASS)
    assert (intake.student, intake.cells) == ("0007", HONEST)


def test_a_zip_that_a_student_handed_in_is_opened_and_a_broken_one_is_said(
    tmp_path: Path, form: Form
) -> None:
    inner = in_zip(tmp_path / "inner.zip", {f"hw/{NAME}.ipynb": notebook()}).read_bytes()
    files = {"ann/work.zip": inner, "bob/work.zip": b"PK no zip", "0007/a.docx": b""}
    for path in (hand_in(tmp_path / "in", files), in_zip(tmp_path / "in.zip", files)):
        found = sort_files(path, [NAME], CLASS)
        told = {i.student: i for i in intakes(found, {NAME: form}, CLASS)}
        assert told["ann"].cells == HONEST
        assert (told["bob"].outcome, "is no zip" in told["bob"].flags[0]) == (UNREADABLE, True)
        assert told["0007"].flags == (f"0007/a.docx: {NO_NOTEBOOK}",)


@pytest.mark.parametrize("name", ["my work.ipynb", "Untitled.ipynb", "1 double.ipynb"])
def test_a_notebook_with_another_name_is_of_the_exercise_that_it_names(
    name: str, tmp_path: Path, form: Form
) -> None:
    ada = taken(hand_in(tmp_path / "in", {f"ada/{name}": notebook()}), form)["ada"]
    assert (ada.cells, ada.flags) == (HONEST, (f"its name is {name!r}",))
    both = {f"ada/{name}": notebook(answer("x = 1")), f"ada/{NAME}.ipynb": notebook()}
    assert taken(hand_in(tmp_path / "in", both), form)["ada"].cells == HONEST


@pytest.mark.parametrize("more", [".ipynb.txt", ".ipynb.json"])
def test_what_a_browser_put_behind_the_name_is_taken_off(
    more: str, tmp_path: Path, form: Form
) -> None:
    ada = taken(hand_in(tmp_path / "in", {f"ada/{NAME}{more}": notebook()}), form)["ada"]
    assert (ada.cells, ada.flags) == (HONEST, ())


@pytest.mark.parametrize("kind", [".docx", ".PDF", ".html", ".py"])
def test_a_document_with_the_name_of_an_exercise_is_no_grade(
    kind: str, tmp_path: Path, form: Form
) -> None:
    ada = taken(hand_in(tmp_path / "in", {f"ada/{NAME}{kind}": b"PK"}), form)["ada"]
    assert (ada.outcome, ada.problem) == (
        UNREADABLE,
        "the file is no notebook; it should end in .ipynb",
    )
    both = {f"ada/{NAME}{kind}": b"PK", f"ada/{NAME} (1).ipynb": notebook()}
    assert taken(hand_in(tmp_path / "in", both), form)["ada"].cells == HONEST


BOTH = (NAME, "02_other")


def outcomes(path: Path, *roster: str) -> dict[tuple[str, str], tuple[str, str]]:
    """Of both exercises and each student: outcome and problem."""
    form = form_of(course(path.parent / "course", *BOTH), NAME)
    found = sort_files(path, BOTH, roster)
    every = intakes(found, dict.fromkeys(BOTH, form), roster)
    return {(i.student, i.exercise): (i.outcome, i.problem) for i in every}


@pytest.mark.parametrize(
    "name",
    ["answer.txt", "scan.jpg", "work.tar", "homework.docx", "a.tar.gz", "noname", "mine.ipynb",
     "b.zip"],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_that_cannot_be_read_is_no_grade_for_what_nothing_else_covers(
    name: str, zipped: bool, tmp_path: Path
) -> None:
    files = {f"ada/{NAME}.ipynb": notebook(), f"ada/{name}": b"PK", f"bob/{NAME}.ipynb": notebook()}
    path = in_zip(tmp_path / "in.zip", files) if zipped else hand_in(tmp_path / "in", files)
    told = outcomes(path, "ada", "bob")
    assert told["ada", NAME] == ("", ""), "its notebook covers that"
    assert told["ada", "02_other"] == (UNREADABLE, ASIDE)
    assert told["bob", "02_other"] == (MISSING, NOTHING)
    (note,) = sort_files(path, BOTH, ["ada", "bob"]).notes
    assert note.startswith(f"ada/{name}: ")
    assert note.endswith("ask for the .ipynb")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"{NAME}.txt", "the file is no notebook; it should end in .ipynb"),
        (f"{NAME}.JPG", "the file is no notebook"),
        (f"{NAME}.tar.gz", "the file is an archive that is not opened; unpack it there"),
        (f"{NAME}.ipynb.zip", "zip: File is not a zip file"),
        (f"{NAME} (1).docx", "the file is no notebook"),
        (f"{NAME}.IPYNB", "the file is not JSON"),
    ],
)
@pytest.mark.parametrize("place", ["ada/{}", "ada_{}", "x_5001_99_{}",
                                   "Ada L_70_assignsubmission_file_/{}"])  # fmt: skip
def test_of_another_kind_with_the_name_of_an_exercise_is_no_grade_for_that_alone(
    place: str, name: str, said: str, tmp_path: Path
) -> None:
    class_ = {"ada": {"name": "Ada L", "canvas_id": "5001"}, "bob": {}}
    files = {place.format(name): b"PK", f"bob/{NAME}.ipynb": notebook()}
    found = sort_files(hand_in(tmp_path / "in", files), BOTH, class_)
    form = form_of(course(tmp_path / "course", *BOTH), NAME)
    told = {(i.student, i.exercise): i for i in intakes(found, dict.fromkeys(BOTH, form), class_)}
    assert told["ada", NAME].outcome == UNREADABLE
    assert said in told["ada", NAME].problem
    assert told["ada", "02_other"].outcome == MISSING


@pytest.mark.parametrize("name", ["ada.zip", "ada.jpg", "ada"])
def test_a_file_that_has_a_student_s_name_alone_is_that_student_s(
    name: str, tmp_path: Path
) -> None:
    files = {name: b"PK", f"bob/{NAME}.ipynb": notebook()}
    told = outcomes(hand_in(tmp_path / "in", files), "ada", "bob")
    assert told["ada", NAME] == (UNREADABLE, ASIDE)


def test_a_student_s_many_files_are_told_and_bounded(tmp_path: Path) -> None:
    files = {f"ada/{n}.txt": b"" for n in range(70)} | {f"bob/{NAME}.ipynb": notebook(), "x": b""}
    found = sort_files(hand_in(tmp_path / "in", files), [NAME], ["ada", "bob"])
    assert len(found.notes) == 52
    assert found.notes[0].startswith("x: its name tells no student")
    assert found.notes[-1] == "ada: 20 files more that are not read"


def test_an_entry_of_a_zip_that_has_no_name_is_nobody_s(tmp_path: Path, form: Form) -> None:
    path = zip_of(tmp_path / "in.zip", (zipfile.ZipInfo(".."), b""), (zipfile.ZipInfo("C:"), b""))
    assert set(taken(path, form)) == {"bob"}


# Files that are none.


def linked(folder: Path) -> None:
    secret = hand_in(folder.parent, {"secret.ipynb": notebook()}) / "secret.ipynb"
    (folder / f"{NAME}.ipynb").symlink_to(secret)


def linked_to_nothing(folder: Path) -> None:
    (folder / f"{NAME}.ipynb").symlink_to("/nowhere")


def linked_to_itself(folder: Path) -> None:
    (folder / f"{NAME}.ipynb").symlink_to(folder / f"{NAME}.ipynb")


def a_device(folder: Path) -> None:
    (folder / f"{NAME}.ipynb").symlink_to("/dev/zero")


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / f"{NAME}.ipynb")


def sparse(folder: Path) -> None:
    with (folder / f"{NAME}.ipynb").open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (linked, "is a symbolic link, which is not followed"),
        (linked_to_nothing, "is a symbolic link"),
        (linked_to_itself, "is a symbolic link"),
        (a_device, "is a symbolic link"),
        (a_pipe, "is no regular file"),
        (sparse, "is larger than 20 MiB"),
    ],
)
def test_what_is_no_regular_file_is_not_read(
    make: Callable[[Path], None], said: str, tmp_path: Path, form: Form
) -> None:
    folder = hand_in(tmp_path / "in", {f"bob/{NAME}.ipynb": notebook(), "ada/x": b""})
    make(folder / "ada")
    both = taken(folder, form)
    assert both["bob"].cells == HONEST
    assert said in both["ada"].problem
    assert (both["ada"].outcome, both["ada"].sha256) == (UNREADABLE, "")


def test_folders_behind_links_are_noted_not_entered(tmp_path: Path, form: Form) -> None:
    folder = hand_in(tmp_path / "in", {f"bob/{NAME}.ipynb": notebook()})
    (folder / "ada").symlink_to(folder / "bob")
    (folder / "bob" / "loop").symlink_to(folder)
    found = sort_files(folder, [NAME])
    assert set(found.claims) == {("bob", NAME)}
    assert found.notes == (
        f"ada: is a symbolic link, which is not followed; {MEND}",
        f"bob/loop: is a symbolic link, which is not followed; {MEND}",
    )


def test_a_folder_that_became_a_link_meanwhile_is_not_entered(tmp_path: Path, form: Form) -> None:
    files = {f"{name}/{NAME}.ipynb": notebook() for name in ("ada", "bob")}
    folder = hand_in(tmp_path / "in", files)
    found = sort_files(folder, [NAME])
    (folder / "ada").rename(folder / "was")
    (folder / "ada").symlink_to(folder / "bob")
    ada, bob = intakes(found, {NAME: form})
    assert (ada.outcome, bob.cells) == (UNREADABLE, HONEST)


def test_folders_without_end_are_noted(tmp_path: Path) -> None:
    deep = "/".join("d" * 12) + f"/{NAME}.ipynb"
    found = sort_files(hand_in(tmp_path / "in", {f"bob/{NAME}.ipynb": b"", deep: b""}), [NAME])
    assert found.notes[0].endswith(f"is deeper than 8 folders; {MEND}")


@pytest.mark.parametrize("closed", ["in", "ada"])
def test_a_folder_that_may_not_be_read_is_told(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{student}/{NAME}.ipynb": b"" for student in ("ada", "bob")}
    folder, scandir = hand_in(tmp_path / "in", files), os.scandir

    def refuse(path: Path) -> Any:
        if Path(path).name == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    if closed == "in":
        with pytest.raises(BadInput, match="in: Permission denied"):
            sort_files(folder, [NAME])
    else:
        found = sort_files(folder, [NAME])
        assert found.notes == (f"ada: cannot be read: Permission denied; {MEND}",)
        assert set(found.claims) == {("bob", NAME)}


# Zips.


def in_zip(path: Path, files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def zip_of(path: Path, *entries: tuple[zipfile.ZipInfo, bytes]) -> Path:
    """A zip with Bob's notebook and these entries."""
    in_zip(path, {f"bob/{NAME}.ipynb": notebook()})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return path


def bomb(path: Path) -> Path:
    return zip_of(path, (zipfile.ZipInfo(f"ada/{NAME}.ipynb"), b" " * MAX_BYTES))


def huge(path: Path) -> Path:
    return zip_of(path, (zipfile.ZipInfo(f"ada/{NAME}.ipynb"), b" " * (MAX_BYTES + 1)))


def lying(path: Path) -> Path:
    """Its directory says 100 bytes; unpacked it is 20 MiB."""
    content = bomb(path).read_bytes()
    path.write_bytes(content.replace(struct.pack("<L", MAX_BYTES), struct.pack("<L", 100)))
    return path


def traversing(path: Path) -> Path:
    return zip_of(path, (zipfile.ZipInfo(f"../ada/{NAME}.ipynb"), notebook()))


def absolute(path: Path) -> Path:
    return zip_of(path, (zipfile.ZipInfo(f"/ada/{NAME}.ipynb"), notebook()))


def backslashes(path: Path) -> Path:
    return zip_of(path, (zipfile.ZipInfo(f"..\\ada\\{NAME}.ipynb"), notebook()))


def link_in_zip(path: Path) -> Path:
    entry = zipfile.ZipInfo(f"ada/{NAME}.ipynb")
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    return zip_of(path, (entry, b"/etc/passwd"))


def encrypted(path: Path) -> Path:
    content = bytearray(
        zip_of(path, (zipfile.ZipInfo(f"ada/{NAME}.ipynb"), notebook())).read_bytes()
    )
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 8] |= 1
    path.write_bytes(content)
    return path


def damaged(path: Path) -> Path:
    whole = zip_of(path, (zipfile.ZipInfo(f"ada/{NAME}.ipynb"), notebook()))
    content = bytearray(whole.read_bytes())
    start = content.rindex(b"PK\x03\x04") + 30 + len(f"ada/{NAME}.ipynb")
    content[start + 10 : start + 60] = bytes(50)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (bomb, "is a zip bomb"),
        (huge, "is larger than 20 MiB"),
        (lying, "cannot be unpacked"),
        (traversing, "its path leads out of the zip"),
        (absolute, "its path leads out of the zip"),
        (backslashes, "its path leads out of the zip"),
        (link_in_zip, "is a link or no regular file"),
        (encrypted, "is encrypted"),
        (damaged, "cannot be unpacked"),
    ],
)
def test_a_bad_entry_of_a_zip_is_flagged_and_the_rest_is_read(
    make: Callable[[Path], Path], said: str, tmp_path: Path, form: Form
) -> None:
    before = set(tmp_path.parent.rglob("*"))
    both = taken(make(tmp_path / "in.zip"), form)
    assert both["bob"].cells == HONEST
    assert said in both["ada"].problem
    assert (both["ada"].outcome, both["ada"].cells) == (UNREADABLE, ())
    assert set(tmp_path.parent.rglob("*")) - before == {tmp_path / "in.zip"}


def test_an_entry_that_leads_out_takes_nobody_s_place(tmp_path: Path, form: Form) -> None:
    names = (f"ada/{NAME}.ipynb", f"bob/../ada/{NAME}.ipynb", f"/ada/{NAME}.ipynb")
    entries = [(zipfile.ZipInfo(name), notebook()) for name in names]
    ada = taken(zip_of(tmp_path / "in.zip", *entries), form, "ada", "bob")["ada"]
    assert ada.cells == HONEST


def test_of_two_entries_of_one_name_the_last_counts(tmp_path: Path, form: Form) -> None:
    entries = [
        (zipfile.ZipInfo(f"ada/{NAME}.ipynb"), notebook(answer(a))) for a in ("a = 1", "b = 2")
    ]
    with pytest.warns(UserWarning, match="Duplicate name"):
        ada = taken(zip_of(tmp_path / "in.zip", *entries), form)["ada"]
    assert ada.cells == ("b = 2",)
    assert ada.flags[0] == f"2 files of it; ada/{NAME}.ipynb counts"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.zip", b"not a zip", "is neither a notebook nor a folder nor a zip"),
        ("in.zip", b"", "is neither a notebook nor a folder nor a zip"),
        ("in.txt", b"hello", "is neither a notebook nor a folder nor a zip"),
        ("no/such", None, "No such file or directory"),
        ("none.ipynb", None, "No such file or directory"),
        ("other.ipynb", b"{}", "is no notebook that can be read, and its name tells no exercise"),
        ("other.ipynb", notebook(code("1")), "is not the name of an exercise; if it is an answer"),
    ],
)
def test_what_is_no_collection_at_all_is_one_line(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=said):
        sort_files(tmp_path / name, [NAME])


def test_an_empty_folder_and_one_of_other_notebooks_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are no notebooks in it"):
        sort_files(tmp_path, [NAME])
    hand_in(tmp_path, {"ada/a.ipynb": b"", "ada/b.ipynb": b"", "ada/.DS_Store": b""})
    with pytest.raises(BadInput, match="no notebook in it has the name of an exercise; 2: ada/a"):
        sort_files(tmp_path, [NAME])


# The course's own side.


def test_a_course_that_marks_no_answer_is_one_line(tmp_path: Path) -> None:
    path = course(tmp_path) / "solutions" / f"{NAME}.ipynb"
    path.write_bytes(notebook(code(RIGHT)))
    with pytest.raises(BadInput, match="no cell has nbgrader's metadata of a solution"):
        form_of(tmp_path, NAME)
    path.unlink()
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        form_of(tmp_path, NAME)
