"""A trace of requests: which frees are worth merging at once, and which are better kept?"""

import runpy
from pathlib import Path

_JUDGE = runpy.run_path(str(Path(__file__).parent / "judge.py"))
LAZY, EAGER, LARGEST = _JUDGE["LAZY"], _JUDGE["EAGER"], _JUDGE["LARGEST"]
cost_of = _JUDGE["cost_of"]


def RIGHT(trace, forgets=True):
    """A free is lazy if a later request of its order takes it before somebody wants all."""
    orders = [number for what, number in trace if what == "alloc"]
    wanted, choices = [0] * (LARGEST + 1), []
    for what, number in reversed(trace):
        if what == "alloc" and number == LARGEST and forgets:
            wanted = [0] * (LARGEST + 1)
        elif what == "alloc":
            wanted[number] += 1
        else:
            order = orders[number]
            choices.append(LAZY if wanted[order] else EAGER)
            wanted[order] -= wanted[order] > 0
    return choices[::-1]


def _frees(trace):
    return sum(what == "free" for what, _ in trace)


def all_lazy(trace):
    return [LAZY] * _frees(trace)


def all_eager(trace):
    return [EAGER] * _frees(trace)


def forgets_the_large(trace):
    return RIGHT(trace, forgets=False)


MISTAKES = {
    "all_lazy": all_lazy, "all_eager": all_eager, "forgets_the_large": forgets_the_large,
}  # fmt: skip


def draw(rng):
    cases = [_case(rng, visible=number == 0) for number in range(3)]
    return {"shown": _text(cases[0]["args"][0]), "cases": cases}


def _case(rng, visible):
    none = full = 0
    while none - full < 20:
        trace = _trace(rng)
        none = min(cost_of(trace, wrong(trace)) for wrong in (all_lazy, all_eager))
        full = cost_of(trace, RIGHT(trace))
    return {
        "name": f"a trace of {len(trace)} entries", "call": "choose", "args": [trace],
        "expected": {"trace": trace, "none": none, "full": full}, "visible": visible,
        "group": "another trace", "hint": "Look at what comes after each free.",
    }  # fmt: skip


def _trace(rng):
    """Spells of small requests, between them one that wants all memory."""
    trace, taken = [], 0
    for _ in range(rng.choice([2, 3])):
        live = []
        for _ in range(rng.randrange(9, 14)):
            churns = live and rng.random() < 0.6
            order = rng.choice([0, 0, 1, 2, 3])
            if churns:  # given back, and wanted again at once
                number, order = live.pop(rng.randrange(len(live)))
                trace.append(["free", number])
            trace.append(["alloc", order])
            live.append((taken, order))
            taken += 1
        rng.shuffle(live)
        trace += [["free", number] for number, _ in live]
        trace += [["alloc", LARGEST], ["free", taken]]
        taken += 1
    return trace


def _text(trace):
    lines, taken, row = [], 0, []
    for what, number in trace:
        row.append(f"{taken}=alloc({number})" if what == "alloc" else f"free({number})")
        taken += what == "alloc"
        if len(row) == 6:
            lines.append("  ".join(f"{entry:<12}" for entry in row).rstrip())
            row = []
    return "\n".join([*lines, "  ".join(f"{entry:<12}" for entry in row).rstrip()])
