"""LateKswapd: kswapd runs only some operations after it was woken."""

from __future__ import annotations

import pytest

from memsim.machine import LateKswapd
from memsim.machine.pages import Pages
from memsim.words.errors import BadRequest


@pytest.fixture
def machine() -> LateKswapd:
    return LateKswapd("16 MiB", 5)


def asleep(machine: LateKswapd) -> bool:
    return bool(machine.vm.nodes[0].kswapd_asleep)


def read_until_woken(machine: LateKswapd) -> tuple[Pages, int]:
    """A file and the index of its next page, behind the read that woke kswapd."""
    film, index = machine.open("film", "64 MiB"), 0
    while asleep(machine):
        machine.read(film, index)
        index += 1
    return film, index


def test_it_runs_behind_the_fifth_operation(machine: LateKswapd) -> None:
    film, first = read_until_woken(machine)
    seen = []
    for index in range(first, first + 4):
        seen.append(asleep(machine))
        machine.read(film, index)
    assert seen == [False] * 4
    assert asleep(machine)


def test_kswapd_runs_at_once_when_it_is_told_to(machine: LateKswapd) -> None:
    read_until_woken(machine)
    machine.kswapd()
    assert asleep(machine)


@pytest.mark.parametrize("late", [0, -3, 1.5, "2", None])
def test_late_is_a_whole_number_from_1_on(late: object) -> None:
    with pytest.raises(BadRequest, match="late"):
        LateKswapd("16 MiB", late)  # type: ignore[arg-type]
