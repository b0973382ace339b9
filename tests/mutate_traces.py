"""Traces spoilt on purpose, by seed, and `memsim replay TRACE --proc DIR` run on them.

    python tests/mutate_traces.py --seeds 0:5000

Each seed is one mutation of a part of a recorded trace, or of one of tests/data/traces. The outcome
is printed as one JSON object; `bad` lists what was neither replayed nor refused by one line.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

from proc_texts import recorded  # noqa: E402

from memsim import cli  # noqa: E402
from memsim.replay.rows.unxz import lines  # noqa: E402

DATA = ROOT / "tests" / "data"
MAX_RSS_MB = 500
TIMEOUT = 60

PIECES = (b"\n", b" ", b"0" * 40, b"-1", b": ", b"[", b"\xff", b"=", b"\0", b"9" * 10_000, b"\r\n",
          b"x" * 100, b"CPU:0 [LOST 9 EVENTS]\n", b"# ", "é".encode())  # fmt: skip
NUMBERS = (b"0", b"-1", b"0x0", b"99", b"11", b"0xffffffffffffffff", b"1" * 20, b"0x3ffdc", b"10",
           b"0x40000", b"GFP_X", b"1_0", b"", b"nan")  # fmt: skip


def bases() -> list[tuple[bytes, str]]:
    """Texts to spoil, each with the capture whose machine it is replayed on."""
    tree_walk = list(lines(DATA / "captures" / "tree_walk" / "trace.txt.xz"))
    found = [("".join(tree_walk[:3000] + tree_walk[30_000:31_000]).encode(), "tree_walk")]
    forms = sorted((DATA / "traces").glob("*.txt"))
    return found * len(forms) + [(path.read_bytes(), "mixed_smp") for path in forms]


def spoil(data: bytearray, rng: random.Random) -> None:
    """One change: a byte, a gap, a piece put in, a part doubled, wrapped, or a number."""
    at, what = rng.randrange(len(data)), rng.randrange(7)
    if what == 0:
        data[at] = rng.randrange(256)
    elif what == 1:
        del data[at : at + rng.choice((1, 5, 500))]
    elif what == 2:
        data[at:at] = rng.choice(PIECES)
    elif what == 3:
        data[at:at] = data[rng.randrange(len(data)) :][:2000]
    elif what == 4 and rng.random() < 0.1:
        data[:] = re.sub(rb"([^\n]{80})", rb"\1\n", data)
    else:
        found = list(re.finditer(rb"=(0x[0-9a-f]+|\d+)", data[at : at + 2000]))
        if found:
            match = rng.choice(found)
            data[at + match.start(1) : at + match.end(1)] = rng.choice(NUMBERS)


def run(trace: Path, folder: Path, seed: int) -> tuple[int, str]:
    """Exit status of the command, and what is wrong with what it did."""
    out, err = io.StringIO(), io.StringIO()
    started = time.monotonic()
    arguments = ["replay", str(trace), "--proc", str(folder), "--seed", str(seed)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(arguments)
    except BaseException as error:
        return -1, repr(error)
    said = err.getvalue()
    one_line = said.count("\n") == 1 and said[:-1].isprintable() and len(said) < 600
    if status not in (0, 2) or not (one_line if status else said == ""):
        return status, f"exit {status}: {said[:300]}"
    slow = time.monotonic() - started > TIMEOUT
    return status, "slow" if slow else ""


def mutate(first: int, last: int) -> dict[str, Any]:
    """All seeds from first up to last, not last itself."""
    exits: Counter[int] = Counter()
    bad = []
    texts = bases()
    with tempfile.TemporaryDirectory() as folder:
        for where, text in recorded().items():
            path = Path(folder) / where
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        for seed in range(first, last):
            rng = random.Random(seed)
            base, capture = rng.choice(texts)
            data = bytearray(base)
            for _ in range(rng.choice((1, 1, 1, 3, 20))):
                spoil(data, rng)
            trace = Path(folder) / "trace.txt"
            trace.write_bytes(bytes(data))
            status, wrong = run(trace, Path(folder) / capture, seed)
            exits[status] += 1
            if wrong:
                bad.append([seed, wrong])
    rss = peak_mb()
    if rss > MAX_RSS_MB:
        bad.append([last, f"{rss} MB"])
    return {"mutations": last - first, "exits": exits, "peak_mb": rss, "bad": bad}


def peak_mb() -> int:
    """Peak memory of this program: ru_maxrss would count what its parent had when it forked."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) >> 10  # type: ignore[index]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:100", help="FIRST:LAST, the last one left out")
    first, _, last = parser.parse_args().seeds.partition(":")
    outcome = mutate(int(first), int(last))
    print(json.dumps(outcome))
    return 1 if outcome["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
