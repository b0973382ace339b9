#!/usr/bin/env python3
"""Names that lessons and docstrings call the kernel's, as far as the kernel has them.

    python tools/kernel_names.py SOURCE

SOURCE is the unpacked source of the kernel of memsim/words/baseline.py. Writes
tests/data/kernel_names.tsv: a name and the file that it was looked for in ("": any). Says which
names are not there.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kernel_names import DATA, of_docstrings, of_lessons

#: Of files that SOURCE may be without, as a part of the kernel's is: looked up by hand in 6.12.
ELSEWHERE = {
    "arch/x86/include/asm/pgtable_32_areas.h": "VMALLOC_START VMALLOC_END VMALLOC_OFFSET",
    "arch/x86/include/asm/pgtable_64_types.h": "VMALLOC_START VMALLOC_END",
    "arch/x86/include/asm/pgtable_types.h": "_PAGE_PRESENT",
    "arch/x86/include/asm/tsc.h": "get_cycles",
    "drivers/iommu/iova.c": "iova_magazine",
    "fs/proc/meminfo.c": "meminfo_proc_show show_val_kb",
    "include/asm-generic/getorder.h": "get_order",
    "include/uapi/asm-generic/errno-base.h": "ENOMEM EBUSY",
    "init/main.c": "start_kernel kernel_init_freeable",
    "ipc/msg.c": "msgsnd",
    "kernel/panic.c": "print_tainted",
    "kernel/resource.c": "r_show",
    "kernel/smp.c": "smp_init",
    "kernel/trace/ring_buffer.c": "ring_buffer_event",
    "kernel/trace/trace_events.c": "trace_event_buffer_reserve",
    "kernel/trace/trace_output.c": "trace_print_context trace_print_lat_fmt",
    "net/core/skbuff.c": "skbuff_small_head",
}
#: A tracepoint's function is made of its name; the ones of kmalloc() are made by a macro.
_MADE = re.compile(r"trace_(\w+)|(\w+)_noprof")


def main() -> int:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    source = Source(Path(sys.argv[1]))
    wanted = {(n.name, n.file): n.where for n in (*of_lessons(), *of_docstrings())}
    found = sorted(key for key in wanted if source.has(*key))
    DATA.write_text("".join(f"{name}\t{file}\n" for name, file in found), encoding="utf-8")
    for name, file in sorted(wanted.keys() - set(found)):
        print(f"{wanted[name, file]}: {name} is not in {file or 'the kernel'}")
    print(f"{len(found)} of {len(wanted)} names found", file=sys.stderr)
    return 0


class Source:
    """The words of each file of a kernel's source."""

    def __init__(self, root: Path) -> None:
        files = [path for path in root.rglob("*") if path.is_file()]
        self.words = {
            str(path.relative_to(root)): set(re.findall(r"\w+", path.read_text(errors="replace")))
            for path in files
        }
        for file, words in ELSEWHERE.items():
            self.words.setdefault(file, set(words.split()))
        self.all_words = set[str]().union(*self.words.values())

    def has(self, name: str, file: str) -> bool:
        if "/" in name:
            return name in self.words
        words = self.words.get(file, set()) if file else self.all_words
        made = _MADE.fullmatch(name)
        config = name.removeprefix("CONFIG_")
        others = [part for part in made.groups() if part] if made else []
        return any(word in words for word in (name, config, *others))


if __name__ == "__main__":
    sys.exit(main())
