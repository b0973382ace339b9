"""Copies of /proc spoilt on purpose, by seed, and what memsim makes of them.

    python tests/proc_mutations.py --seeds 0:1000

Each seed is one mutation of one capture's copies. The outcome is printed as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from proc_texts import NAMES, OTHER_KERNELS, captures, copies_of, other, put  # noqa: E402

from memsim import machine_from_proc  # noqa: E402
from memsim.words.errors import BadInput  # noqa: E402

Copies = dict[str, str | bytes]
Mutation = Callable[[Copies, random.Random, list[str]], None]
WEIRD = (
    "-1", "0", "1", "2", "7", "100", "511", "512", "4095", "100000", ">100000", "16777216", "1e9",
    "2147483648", "4294967296", "9223372036854775807", "18446744073709551615", "9" * 10_000, "",
    "0x10", "１２", "x", "\0", "\x1b[31m", "1 2 3", "0.5", "nan",
)  # fmt: skip


def _text(copies: Copies, rng: random.Random) -> tuple[str, str]:
    name = rng.choice(NAMES)
    return name, str(copies[name])


def weird_number(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """One or a few numbers become another."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        name, text = _text(copies, rng)
        spans = [match.span() for match in re.finditer("[0-9]+", text)]
        start, end = rng.choice(spans or [(0, 0)])
        copies[name] = text[:start] + rng.choice(WEIRD) + text[end:]


def near_number(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """Numbers become a little larger or smaller, or ten times as large."""
    for _ in range(rng.choice((1, 3, 10))):
        name, text = _text(copies, rng)
        match = rng.choice(list(re.finditer("[0-9]+", text)) or [None])
        if match:
            new = rng.choice((int(match[0]) + 1, max(0, int(match[0]) - 1), 10 * int(match[0])))
            copies[name] = text[: match.start()] + str(new) + text[match.end() :]


def free_counts(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """Other numbers of free blocks, with or without pagetypeinfo."""
    if rng.random() < 0.5:
        copies.pop("pagetypeinfo")
    name = rng.choice([name for name in copies if name != "zoneinfo"])
    top = rng.choice((2, 50, 1000, 50_000))

    def change(match: re.Match[str]) -> str:
        return match[1] + "".join(f"{rng.randrange(top):6d} " for _ in range(11))

    copies[name] = re.sub(r"(?m)^(Node.*(?:zone +\w+|type +\w+) +)(?:[0-9]+ +){11}$", change,
                          str(copies[name]))  # fmt: skip


def sizes(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """Other sizes and starts of zones."""

    def change(match: re.Match[str]) -> str:
        return match[1] + str(max(0, int(match[2]) + rng.choice((-4096, -512, -1, 0, 1, 512))))

    pattern = r"(spanned +|present +|managed +|start_pfn: +)([0-9]+)"
    copies["zoneinfo"] = re.sub(pattern, change, str(copies["zoneinfo"]))


def lines(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """Lines go, come twice, or change places."""
    name, text = _text(copies, rng)
    parts = text.splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 4))):
        at, to = rng.randrange(len(parts)), rng.randrange(len(parts))
        kind = rng.randrange(3)
        if kind == 0 and len(parts) > 1:
            parts.pop(at)
        elif kind == 1:
            parts.insert(to, parts[at])
        else:
            parts[at], parts[to] = parts[to], parts[at]
        at = to = 0
    copies[name] = "".join(parts)


def bytes_anywhere(copies: Copies, rng: random.Random, names: list[str]) -> None:
    name, text = _text(copies, rng)
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 3, 30))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    copies[name] = bytes(data)


def cut(copies: Copies, rng: random.Random, names: list[str]) -> None:
    name, text = _text(copies, rng)
    copies[name] = text[: rng.randrange(len(text))] + rng.choice(("", "\n"))


def wrap(copies: Copies, rng: random.Random, names: list[str]) -> None:
    name, text = _text(copies, rng)
    copies[name] = re.sub(f"(.{{{rng.choice((20, 40, 60, 80))}}})", r"\1\n", text)


def words(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """A word becomes another everywhere, as if translated."""
    name, text = _text(copies, rng)
    word = rng.choice(re.findall("[A-Za-z_]+", text))
    copies[name] = text.replace(word, rng.choice(("Zone", "Nœud", "DMA32", "HighMem", "nr_x", "")))


def swap(copies: Copies, rng: random.Random, names: list[str]) -> None:
    """A file of another machine, or of another name."""
    name = rng.choice(NAMES)
    copies[name] = copies_of(rng.choice(names))[rng.choice((name, name, rng.choice(NAMES)))]


def missing(copies: Copies, rng: random.Random, names: list[str]) -> None:
    copies.pop(rng.choice(NAMES))
    copies[f"x{rng.choice(NAMES)}"] = ""


MUTATIONS: tuple[Mutation, ...] = (
    weird_number, near_number, free_counts, sizes, lines, bytes_anywhere, cut, wrap, words, swap,
    missing, free_counts, near_number,
)  # fmt: skip


def mutate(seed: int, names: list[str]) -> Copies:
    """Spoilt copies."""
    rng = random.Random(seed)
    kernel = rng.choice((*names, *OTHER_KERNELS))
    is_other = kernel in OTHER_KERNELS
    copies: Copies = {n: other(kernel, n) for n in NAMES} if is_other else copies_of(kernel)
    MUTATIONS[seed % len(MUTATIONS)](copies, rng, names)
    return copies


def outcome(copies: Copies, folder: Path, seed: int) -> str:
    """`refused` with one line, `made` with every invariant holding, or what was wrong."""
    put(folder, copies)
    try:
        machine, _ = machine_from_proc(folder, seed=seed, steps=False)
    except BadInput as error:
        text = str(error)
        good = text.isprintable() and len(text) < 600 and text.startswith(str(folder))
        return "refused" if good else f"refusal {text[:700]!r}"
    machine.validate()
    return "made"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", default="0:1000")
    first, last = map(int, parser.parse_args().seeds.split(":"))
    seen: Counter[str] = Counter()
    slowest = (0.0, 0)
    bad = []
    for seed in range(first, last):
        folder = Path(tempfile.mkdtemp())
        started = time.monotonic()
        try:
            result = outcome(mutate(seed, captures()), folder, seed)
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        shutil.rmtree(folder)
        slowest = max(slowest, (round(time.monotonic() - started, 2), seed))
        seen[result if result in ("refused", "made") else "bad"] += 1
        if result not in ("refused", "made"):
            bad.append((seed, MUTATIONS[seed % len(MUTATIONS)].__name__, result[:400]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(json.dumps({**seen, "slowest": slowest, "peak_mb": peak, "bad": bad[:20]}))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
