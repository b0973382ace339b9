"""`memsim replay` on captures spoilt by seed: exit 0, 1 or 2, one line, bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MUTATE = Path(__file__).parent / "mutate.py"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each replay is a forked process")


def mutate(seeds: str, jobs: int) -> dict[str, Any]:
    command = [sys.executable, str(MUTATE), "--seeds", seeds, "--jobs", str(jobs)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode in (0, 1), done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def test_twenty_mutations_are_refused_or_replayed() -> None:
    outcome = mutate("40:60", 1)
    assert outcome["bad"] == []
    assert outcome["mutations"] == 20
    assert set(outcome["exits"]) == {"0", "1", "2"}


@pytest.mark.long
def test_a_thousand_mutations_are_refused_or_replayed() -> None:
    outcome = mutate("1000:2000", os.cpu_count() or 1)
    print(json.dumps(outcome))
    assert outcome["bad"] == []
    assert outcome["mutations"] == 1000
    assert set(outcome["exits"]) == {"0", "1", "2"}


def test_a_seed_is_always_the_same_mutation(tmp_path: Path) -> None:
    packed = []
    for name in ("a", "b"):
        command = [sys.executable, str(MUTATE), "--seeds", "18:19", "--keep", str(tmp_path / name)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        packed.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert packed[0] == packed[1]
