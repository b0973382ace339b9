"""What passes between grader and child, and which calls of the kernel a child may make."""

from __future__ import annotations

import os
from typing import Any

import pytest

from memsim.lab.cases import Case
from memsim.lab.compare import INVARIANTS
from memsim.lab.grader import frames, seccomp
from memsim.lab.verdict import Answer, judge

# ---- frames


def test_frames_come_whole_however_they_are_cut() -> None:
    inbox, sent = frames.Inbox(1000), frames.packed([1, "é"]) + frames.packed({"a": None})
    got = []
    for n in range(len(sent)):
        inbox.add(sent[n : n + 1])
        body = inbox.take()
        got += [] if body is None else [frames.unpacked(body)]
    assert got == [[1, "é"], {"a": None}]


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    inbox = frames.Inbox(1000)
    inbox.add(b"\xff\xff\xff\xff")
    with pytest.raises(frames.BadFrame):
        inbox.take()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"NaN", b"[Infinity]", b"[" * 99999, b'"\\ud800"', b"9" * 9999]
)
def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(frames.BadFrame):
        frames.unpacked(body)


# ---- the filter of system calls, as the kernel would run it


def decided(machine: str, number: int, *args: int, audit: int = 0) -> int:
    data = {0: number, 4: audit or seccomp.MACHINES[machine].audit}
    data |= {16 + 8 * n: arg & 0xFFFFFFFF for n, arg in enumerate(args)}
    program, at, word = seccomp.rules(machine), 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            word = data.get(value, 0)
        elif code == 0x06:
            return value
        else:
            is_true = {0x15: word == value, 0x35: word >= value, 0x45: word & value}[code]
            at += if_true if is_true else if_false


CALLS = (
    # x86-64, aarch64, arguments, what comes of it
    ((0, 63), (), seccomp.ALLOW),  # read
    ((257, 56), (0, 0, os.O_RDONLY | os.O_CLOEXEC), seccomp.ALLOW),  # openat
    ((257, 56), (0, 0, os.O_WRONLY), seccomp.REFUSE),
    ((257, 56), (0, 0, os.O_RDWR), seccomp.REFUSE),
    ((257, 56), (0, 0, os.O_CREAT), seccomp.REFUSE),
    ((257, 56), (0, 0, os.O_TRUNC), seccomp.REFUSE),
    ((257, 56), (0, 0, 0o20000000), seccomp.REFUSE),  # O_TMPFILE
    ((437, 437), (), seccomp.REFUSE),  # openat2
    ((72, 25), (0, 1), seccomp.ALLOW),  # fcntl, F_GETFD
    ((72, 25), (0, 8), seccomp.REFUSE),  # F_SETOWN
    ((302, 261), (0,), seccomp.ALLOW),  # prlimit64, itself
    ((302, 261), (1,), seccomp.REFUSE),
    ((59, 221), (), seccomp.REFUSE),  # execve
    ((56, 220), (), seccomp.REFUSE),  # clone
    ((435, 435), (), seccomp.REFUSE),  # clone3
    ((41, 198), (), seccomp.REFUSE),  # socket
    ((62, 129), (), seccomp.REFUSE),  # kill
    ((16, 29), (), seccomp.REFUSE),  # ioctl
    ((101, 117), (), seccomp.KILL),  # ptrace
    ((310, 270), (), seccomp.KILL),  # process_vm_readv
    ((321, 280), (), seccomp.KILL),  # bpf
    ((425, 425), (), seccomp.KILL),  # io_uring_setup
    ((999, 999), (), seccomp.REFUSE),
)


@pytest.mark.parametrize(("numbers", "args", "action"), CALLS)
def test_the_filter_allows_a_list_and_no_more(
    numbers: tuple[int, int], args: tuple[int, ...], action: int
) -> None:
    both = [decided(m, n, *args) for m, n in zip(seccomp.MACHINES, numbers, strict=True)]
    assert both == [action, action]


def test_other_numberings_of_the_same_kernel_are_deadly() -> None:
    x86_64, aarch64 = (machine.audit for machine in seccomp.MACHINES.values())
    assert decided("x86_64", 0, audit=0x40000003) == seccomp.KILL  # i386
    assert decided("x86_64", 63, audit=aarch64) == seccomp.KILL
    assert decided("aarch64", 0, audit=x86_64) == seccomp.KILL
    assert decided("x86_64", 0x40000000) == seccomp.KILL  # x32
    assert seccomp.rules("riscv64") == [(6, 0, 0, seccomp.KILL)]


# ---- invariants run where the grade is made, on what students wrote


@pytest.mark.parametrize("name", INVARIANTS)
def test_an_invariant_is_bounded_whatever_it_is_given(name: str) -> None:
    case = Case("", [["call", "f", []]], [[0], []], invariants=[name], compare="equal")
    spec: Any = None
    for lists in ([[]] * 1000 + [[0]], [list(range(0, 400_000, 4))] * 2, [[], [1 << 4000] * 9]):
        assert judge(spec, case, Answer([lists])).score == 0


@pytest.mark.parametrize(
    ("lists", "broken"),
    [
        ([[0], [2]], ()),
        ([[0, 2], [2]], ("free_lists_disjoint",)),
        ([[3], [2]], ("free_lists_disjoint",)),
        ([[], [1]], ("free_blocks_aligned",)),
        ([[0, 1], []], ("no_free_buddies",)),
        ([[], [0, 2]], ()),
    ],
)
def test_what_the_invariants_say(lists: list[list[int]], broken: tuple[str, ...]) -> None:
    assert tuple(name for name, holds in INVARIANTS.items() if not holds(lists)) == broken
