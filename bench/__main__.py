"""The bench: `python -m bench`. Tables go to stdout, progress to stderr.

Exit status: 0 measured, 1 a wrong answer, 2 bad input or bad usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench import boot, captures, compare, levels, report, slab, twin, vmalloc, vmalloc_report
from bench.figures import tell
from memsim.words.errors import MemsimError

#: The cases that levels are measured on: (workload, pcp).
LEVEL_CASES = (("churn", True), ("mixed", True), ("ping-pong", False))


class Options(NamedTuple):
    """What was asked for: rounds, by how much workloads are cut, folders of captures."""

    rounds: int
    divisor: int
    captures: list[Path]


def measure_workloads(options: Options) -> tuple[Any, str]:
    """memsim, twin and dict buddy; then the levels on the same operations."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        program = _twin(folder)
        if program is not None:
            compare.check_published(program, folder)
        all_cases = compare.cases(folder, options.divisor)
        rows = compare.compare(all_cases, program, options.rounds)
        level_rows = [
            levels.measure(case, options.rounds)
            for case in all_cases
            if (case.workload.name, case.pcp) in LEVEL_CASES
        ]
    text = f"{report.of_workloads(rows)}\n\n{report.of_levels(level_rows)}"
    return {"rows": rows, "levels": level_rows}, text


def _twin(folder: Path) -> Path | None:
    """The twin's program; None, and a line on stderr, where there is no compiler."""
    tell("building the twin")
    if twin.compiler() is None:
        tell("")
        print("bench: no C compiler found ($CC, cc, gcc, clang): no twin", file=sys.stderr)
        return None
    return twin.build(folder)


def measure_slab(options: Options) -> tuple[Any, str]:
    """memsim and its twin, object by object."""
    rows = []
    with TemporaryDirectory() as name:
        program = _twin(Path(name))
        for workload in slab.WORKLOADS:
            tell(f"{workload.name}: making its operations")
            operations = workload.generate(workload.nr_operations // options.divisor)
            rows.append(slab.measure(workload, operations, program, Path(name), options.rounds))
    return rows, report.of_slab(rows)


def measure_vmalloc(options: Options) -> tuple[Any, str]:
    """memsim and first fit, with ever more live areas."""
    nr_operations = max(vmalloc.NR_OPERATIONS // options.divisor, vmalloc.NR_COUNTED)
    live = [live for live in vmalloc.LIVE if options.divisor == 1 or live <= vmalloc.QUICK]
    rows = [vmalloc.measure(nr, options.rounds, nr_operations) for nr in live]
    return rows, vmalloc_report.of_vmalloc(rows)


def measure_boot(options: Options) -> tuple[Any, str]:
    """Machines of all sizes."""
    rows = [boot.measure(ram, options.rounds) for ram in boot.SIZES]
    return rows, report.of_boot(rows)


def measure_captures(options: Options) -> tuple[Any, str]:
    """Every capture, once."""
    rows = [captures.measure(folder) for folder in captures.folders(options.captures)]
    return rows, report.of_captures(rows)


PARTS: dict[str, Callable[[Options], tuple[Any, str]]] = {
    "workloads": measure_workloads,
    "slab": measure_slab,
    "vmalloc": measure_vmalloc,
    "boot": measure_boot,
    "captures": measure_captures,
}


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for; returns the exit status."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    for part in parsed.part:
        if part not in PARTS:
            parser.error(f"{part!r}: should be one of {', '.join(PARTS)}")
    quick = Options(3, 20, parsed.captures or [captures.RECORDED])
    options = quick if parsed.quick else quick._replace(rounds=5, divisor=1)
    try:
        data, texts = {}, []
        for part in parsed.part or PARTS:
            data[part], text = PARTS[part](options)
            texts.append(text)
        tell("")
    except KeyboardInterrupt:
        return _stop("interrupted", 130)
    except compare.WrongAnswer as error:
        return _stop(f"wrong answer: {error}", 1)
    except (MemsimError, twin.CannotBuild) as error:
        return _stop(str(error), 2)
    except OSError as error:
        return _stop(f"{error.filename}: {error.strerror}", 2)
    print(json.dumps(_about(options) | report.as_data(data)) if parsed.json else "\n\n".join(texts))
    return 0


def _about(options: Options) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rounds": options.rounds,
        "divisor": options.divisor,
    }


def _stop(why: str, status: int) -> int:
    tell("")
    print(f"bench: {why}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Times memsim against its twin in C and a dict buddy, vmalloc against first "
        "fit, boot, and replay. "
        "CPU time, medians; figures of one run belong together.",
    )
    parser.add_argument(
        "part", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a twentieth of each workload, 3 rounds"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--captures", type=Path, action="append", metavar="DIR",
        help="a capture, or a folder of captures; may be given again",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
