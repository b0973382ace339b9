"""The player for everybody: axe-core, narrow and wide, high contrast, reduced motion, keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memsim import Machine
from memsim.views import Player, SideBySide
from memsim.views.page import Page
from tests.test_views_panes import fill_up
from tests.test_views_player import open_player, random_run
from tests.test_views_side import ping_pong
from tests.test_views_slab_pane import slab_run, vmalloc_run

SHOWN: dict[str, Callable[[], Page]] = {
    "pages": lambda: Player(ping_pong(4), "pages"),
    "predict": lambda: Player(random_run(1, Machine("64 MiB")), panes=("code", "zones", "predict")),
    "zones": lambda: Player(fill_up(), "zones", panes="zones"),
    "slab": lambda: Player(slab_run(1)[1], "slab", panes=("slab", "code")),
    "vmalloc": lambda: Player(vmalloc_run(1)[1], "vmalloc", panes=("vmalloc", "code")),
    "side": lambda: SideBySide(ping_pong(1), ping_pong(4), "two machines"),
}

OPEN_AT = """step => {
  document.querySelector('.memsim-player').memsim.go(step);
  document.querySelectorAll('details').forEach(part => { part.open = true; });
}"""


def opened(page: Any, shown: Page, folder: Path) -> None:
    """In the middle, with everything unfolded."""
    open_player(page, shown, folder)
    page.evaluate(OPEN_AT, shown.last_step // 2)


def faults(page: Any, context: Any = None) -> list[str]:
    """What axe-core finds serious or critical, in the page or in a part of it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page, context).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.browser
@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("media", ["light", "dark", pytest.param("forced", marks=pytest.mark.long)])
def test_axe_finds_no_serious_fault(name: str, media: str, page: Any, tmp_path: Path) -> None:
    scheme = "dark" if media == "dark" else "light"
    page.emulate_media(color_scheme=scheme, forced_colors="active" if media == "forced" else "none")
    opened(page, SHOWN[name](), tmp_path)
    assert faults(page) == []


@pytest.mark.browser
def test_axe_is_shown_what_it_must_find(page: Any) -> None:
    page.set_content(
        "<html lang='en'><title>x</title><main><button></button><input>"
        "<p style='color: #aaa; background: #fff'>pale</p></main></html>"
    )
    kinds = {fault.partition(":")[0] for fault in faults(page)}
    assert {"button-name", "label", "color-contrast"} <= kinds


@pytest.mark.browser
@pytest.mark.parametrize("name", SHOWN)
def test_nothing_is_too_wide_from_400_percent_zoom_to_a_projector(
    name: str, page: Any, tmp_path: Path
) -> None:
    for width in (320, 360, 768, 1920):  # 1280 pixels at 400 % are 320
        page.set_viewport_size({"width": width, "height": 900})
        opened(page, SHOWN[name](), tmp_path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
@pytest.mark.parametrize("name", SHOWN)
def test_keys_alone_reach_every_control(name: str, page: Any, tmp_path: Path) -> None:
    opened(page, SHOWN[name](), tmp_path)
    reached = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, summary, pre, [tabindex]')]
          .filter(e => e.checkVisibility() && !e.disabled)
          .filter(e => { e.focus(); return document.activeElement !== e || e.tabIndex < 0; })
          .map(e => e.outerHTML.slice(0, 200))"""
    )
    assert reached == []


@pytest.mark.browser
def test_who_asks_for_less_motion_gets_none(page: Any, tmp_path: Path) -> None:
    page.emulate_media(reduced_motion="reduce")
    opened(page, SHOWN["pages"](), tmp_path)
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration"
        " !== '0s' || getComputedStyle(e).animationName !== 'none').length"
    )
    assert moving == 0


@pytest.mark.browser
def test_in_high_contrast_the_present_step_and_the_moved_blocks_stand_out(
    page: Any, tmp_path: Path
) -> None:
    page.emulate_media(forced_colors="active")
    opened(page, SHOWN["pages"](), tmp_path)
    outlines = page.evaluate(
        "[...document.querySelectorAll('[aria-current=step], .ms-chip.ms-moved')]"
        ".map(e => getComputedStyle(e).outlineStyle)"
    )
    assert outlines
    assert set(outlines) == {"solid"}
