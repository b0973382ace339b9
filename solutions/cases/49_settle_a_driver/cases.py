"""A driver's requests on a machine that is short; a plan is run by the judge."""

from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def RIGHT(given):
    """What it cannot do without comes first, and blocks before pages."""
    wants = given["wants"]
    order = sorted(range(len(wants)), key=lambda at: _rank(wants[at]))
    return [[at, _mask(wants[at]), _ways(wants[at])] for at in order]


def _rank(want):
    if want["least"] < want["pages"]:
        return 3
    return 0 if want["device"] else 1 if want["pages"] > 1 else 2


def _mask(want):
    if want["interrupt"]:
        return "GFP_ATOMIC"
    if want["fs_lock"]:
        return "GFP_NOFS"
    return "GFP_KERNEL" if want["least"] == want["pages"] else "GFP_KERNEL | __GFP_NORETRY"


def _ways(want):
    if want["device"]:
        return ["block"]
    if want["least"] < want["pages"]:
        return ["pages"]
    return ["block"] if want["pages"] == 1 else ["kvmalloc"]


def kills_for_extras(given):
    """GFP_KERNEL wherever it may sleep."""
    plan = RIGHT(given)
    return [[at, mask.replace(" | __GFP_NORETRY", ""), ways] for at, mask, ways in plan]


def sleeps(given):
    """NORETRY for all."""
    return [[at, "GFP_KERNEL | __GFP_NORETRY", ways] for at, _, ways in RIGHT(given)]


def kvmalloc_for_a_device(given):
    wants = given["wants"]
    return [
        [at, mask, ["kvmalloc"] if wants[at]["device"] else ways] for at, mask, ways in RIGHT(given)
    ]


def blocks_for_all(given):
    return [[at, mask, ["block"]] for at, mask, _ in RIGHT(given)]


def empties_the_reserve(given):
    """GFP_ATOMIC where it must not fail."""
    return [[at, "GFP_ATOMIC" if "NORETRY" in mask else mask, ways]
            for at, mask, ways in RIGHT(given)]  # fmt: skip


def as_listed(given):
    return sorted(RIGHT(given))


MISTAKES = {
    "kills_for_extras": kills_for_extras,
    "sleeps": sleeps,
    "kvmalloc_for_a_device": kvmalloc_for_a_device,
    "blocks_for_all": blocks_for_all,
    "empties_the_reserve": empties_the_reserve,
    "as_listed": as_listed,
}


def draw(rng):
    cases = [_case(rng, visible=number == 0) for number in range(2)]
    return {"shown": _text(cases[0]["args"][0]), "cases": cases}


def _case(rng, visible):
    given = _given(rng)
    return {
        "name": f"{len(given['wants'])} requests of a driver", "call": "settle", "args": [given],
        "expected": given, "visible": visible, "group": "another machine",
        "hint": "What it cannot do without first; who may sleep; who has a fallback.",
    }  # fmt: skip


def _given(rng):
    blocks = rng.sample(range(40), 2)
    wants = [
        _want("receive buffers", rng.randrange(2200, 2800), least=16),
        _want("statistics", rng.randrange(24, 50)),
        _want("descriptor ring", 16, device=True),
        _want("a packet's page", 1, interrupt=True),
        _want("a block of the journal", 1, fs_lock=True),
        _want("command ring", rng.choice([8, 16]), device=True),
    ]
    extras, rest = wants[0], wants[1:]
    rng.shuffle(rest)
    rest.insert(rng.randrange(2), extras)
    given = {
        "programs": [["database", rng.randrange(600, 900), -1000],
                     ["editor", rng.randrange(300, 500), 0]],
        "free": sorted(rng.sample(range(0, 8, 2), 3)),
        "blocks": sorted(blocks),
        "wants": rest,
    }  # fmt: skip
    extras["best"] = _judge()._best_of(given, RIGHT(given))
    return given


@cache
def _judge():
    """judge.py of this folder: it has the machine."""
    path = Path(__file__).with_name("judge.py")
    spec = spec_from_file_location("judge_of_this_exercise", path)
    judge = module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge


def _want(what, pages, least=None, device=False, interrupt=False, fs_lock=False):
    return {"what": what, "pages": pages, "least": pages if least is None else least, "best": pages,
            "device": device, "interrupt": interrupt, "fs_lock": fs_lock}  # fmt: skip


def _text(given):
    lines = [
        "16 MiB; " + "; ".join(f"{comm}: {pages} pages" for comm, pages, _ in given["programs"]),
        f"{'':>2} {'what':<24} {'pages':>5} {'least':>5}",
    ]
    for number, w in enumerate(given["wants"]):
        more = [name for name in ("device", "interrupt", "fs_lock") if w[name]]
        line = f"{number:>2} {w['what']:<24} {w['pages']:>5} {w['least']:>5}  {' '.join(more)}"
        lines.append(line.rstrip())
    return "\n".join(lines)
