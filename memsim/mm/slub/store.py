"""What may be written to the files of /sys/kernel/slab/NAME/, as root.

Kernel: mm/slub.c min_partial_store() to skip_kfence_store()
"""

from __future__ import annotations

import re

from memsim.mm.slub.debug_validate import validate_slab_cache
from memsim.mm.slub.shrink import flush_all, kmem_cache_shrink
from memsim.mm.slub.sizes import cpu_partial_slabs
from memsim.mm.slub.slab import KmemCache, kmem_cache_debug
from memsim.mm.slub.update import set_cache_field
from memsim.words.errno import EINVAL, EIO, ERANGE
from memsim.words.slab import SLAB_SKIP_KFENCE

#: Files that can be written to; to all others it is an error.
WRITABLE = (
    "min_partial", "cpu_partial", "remote_node_defrag_ratio", "shrink", "validate", "skip_kfence",
)  # fmt: skip
_MAX_UINT = (1 << 32) - 1
#: unsigned long in the kernel: what is above this is refused here.
_MAX_LONG = (1 << 63) - 1
_NUMBER = re.compile(r"\+?[0-9]{1,40}\n?", re.ASCII)


def store(s: KmemCache, name: str, text: str) -> int:
    """Write text to a cache's file of this name; 0, or the error and nothing has changed.

    Kernel: mm/slub.c slab_attr_store()
    """
    match name:
        case "min_partial" | "cpu_partial" | "remote_node_defrag_ratio":
            return _store_number(s, name, text)
        case "shrink" if text.startswith("1"):
            kmem_cache_shrink(s)
        case "validate" if text.startswith("1") and kmem_cache_debug(s):
            validate_slab_cache(s)
        case "skip_kfence" if text[:1] in ("0", "1"):
            keeps = s.flags & ~SLAB_SKIP_KFENCE
            set_cache_field(s, "flags", keeps | (SLAB_SKIP_KFENCE if text[0] == "1" else 0))
        case _:
            return -EINVAL if name in WRITABLE else -EIO
    return 0


def _store_number(s: KmemCache, name: str, text: str) -> int:
    """A number from text.

    Kernel: mm/slub.c min_partial_store(), cpu_partial_store(), remote_node_defrag_ratio_store()
    """
    if not _NUMBER.fullmatch(text):
        return -EINVAL
    number = int(text)
    if name == "remote_node_defrag_ratio":
        if number > 100:
            return -ERANGE
        set_cache_field(s, name, number * 10)
        return 0
    if number > (_MAX_LONG if name == "min_partial" else _MAX_UINT):
        return -ERANGE
    if name == "cpu_partial":
        if number and kmem_cache_debug(s):
            return -EINVAL
        set_cache_field(s, "cpu_partial_slabs", cpu_partial_slabs(s, number))
    set_cache_field(s, name, number)
    if name == "cpu_partial":
        flush_all(s)
    return 0
