"""`python -m memsim.cli`: the same as `memsim`."""

from __future__ import annotations

import sys

from memsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
