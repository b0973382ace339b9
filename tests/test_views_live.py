"""The panes in JupyterLab: what the reader does comes back to Python, in both themes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lessons import CURRENT, OpenLesson, notebook_of, of_lesson

pytestmark = [pytest.mark.browser, of_lesson("00_start")]

MADE = """
from memsim import GFP_HIGHUSER_MOVABLE, Machine
from memsim.views import Player, SideBySide

def run(batch):
    machine = Machine.of_pages(64, pcp=True)
    machine.pageset_update(batch, 16, 16)
    with machine.recording() as recording:
        machine.free_pages(machine.alloc_pages(GFP_HIGHUSER_MOVABLE))
    return recording

"""


def shown(lesson: OpenLesson, code: str) -> Any:
    """The first code cell, with other code, run; the lesson is not saved."""
    kinds = [cell["cell_type"] for cell in notebook_of(lesson.name)["cells"]]
    cell = kinds.index("code")
    lesson.show(cell)
    lesson.page.evaluate(
        f"code => {CURRENT}.content.activeCell.model.sharedModel.setSource(code)", MADE + code
    )
    return lesson.run(cell)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_prediction_is_scored_in_python(lesson: OpenLesson, theme: str, tmp_path: Path) -> None:
    lesson.theme(theme)
    cell = shown(lesson, "asked = Player(run(4), panes=('predict', 'code', 'zones'))\nasked")
    player = cell.locator(".memsim-player")
    player.focus()
    lesson.page.keyboard.press("End")
    assert player.get_attribute("data-step") == "0"
    right = int(lesson.in_kernel("print(asked.payload['questions'][0][3])"))
    lesson.page.keyboard.press(str(right + 1))
    lesson.comes("asked.score", "(1, 1)")
    lesson.page.keyboard.press("End")
    lesson.comes("0 < asked.step < asked.last_step", "True")
    back = player.evaluate("e => getComputedStyle(e).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (theme == "Light")
    lesson.picture(tmp_path / f"predict_{theme}.png")


def test_two_machines_and_python_move_each_other(lesson: OpenLesson, tmp_path: Path) -> None:
    lesson.theme("Light")
    cell = shown(lesson, "sides = SideBySide(run(1), run(4))\nsides")
    both = cell.locator(".ms-side")
    both.wait_for()
    lesson.in_kernel("sides.step = sides.first")
    cell.locator(".ms-side.ms-differs").wait_for()
    both.focus()
    lesson.page.keyboard.press("ArrowLeft")
    lesson.comes("sides.first - sides.step", "1")
    lesson.picture(tmp_path / "sides.png")


def test_an_address_that_python_set_before_is_walked_to(lesson: OpenLesson) -> None:
    cell = shown(
        lesson,
        "machine = Machine('64 MiB', vmalloc=True)\n"
        "with machine.recording() as recording:\n    machine.vmalloc(8192)\n"
        "walker = Player(recording, panes='vmalloc')\n"
        "walker.address = '0xffffc90000001000'\nwalker",
    )
    cell.locator("[aria-label='walk to 0xffffc90000001000']").wait_for()
    assert cell.locator(".ms-vmalloc input").input_value() == "0xffffc90000001000"
    lesson.in_kernel("walker.address = '0xffffc90000000000'")
    cell.locator("[aria-label='walk to 0xffffc90000000000']").wait_for()
