"""Free pointers, and the order in which a new slab's objects are handed out.

Kernel: mm/slub.c freelist_ptr_encode() to set_freepointer(), next_freelist_entry(),
shuffle_freelist(), get_freelist(), freeze_slab()
"""

from __future__ import annotations

from memsim.mm.slub.slab import KmemCache, Slab
from memsim.mm.slub.update import draw_below, set_freepointer, slab_update_freelist
from memsim.words.mmzone import NULL

_64_BITS = (1 << 64) - 1


def freelist_ptr_encode(random: int, ptr: int, ptr_addr: int) -> int:
    """A free pointer as CONFIG_SLAB_FREELIST_HARDENED keeps it; decoding is the same.

    It is mixed with the cache's random number and the address it is kept at, bytes swapped.
    Kernel: mm/slub.c freelist_ptr_encode(), freelist_ptr_decode()

    >>> random, where = 0x1122334455667788, 0xFFFF888000001020
    >>> kept = freelist_ptr_encode(random, 0xFFFF888000001080, where)
    >>> hex(freelist_ptr_encode(random, kept, where))
    '0xffff888000001080'
    """
    swapped = int.from_bytes(ptr_addr.to_bytes(8, "little"), "big")
    return (ptr ^ random ^ swapped) & _64_BITS


def get_freepointer(slab: Slab, obj: int) -> int:
    """The free object behind obj on its list, or NULL. Kernel: mm/slub.c get_freepointer()."""
    return slab.next_object[obj]


def init_freelist(s: KmemCache, slab: Slab) -> None:
    """Put every object of a new slab on its freelist: shuffled, or one behind the other.

    Kernel: mm/slub.c allocate_slab()
    """
    in_order = slab.objects < 2 or not s.random_seq
    order = list(range(slab.objects)) if in_order else shuffle_freelist(s, slab)
    for obj, following in zip(order, [*order[1:], NULL], strict=True):
        set_freepointer(slab, obj, following)
    slab_update_freelist(slab, order[0], 0, False)


def shuffle_freelist(s: KmemCache, slab: Slab) -> list[int]:
    """The cache's random sequence from a random place on, without objects that do not fit.

    Kernel: mm/slub.c shuffle_freelist(), next_freelist_entry()
    """
    page_limit = slab.objects * s.size
    pos = draw_below(s, len(s.random_seq))
    sequence = s.random_seq[pos:] + s.random_seq[:pos]
    return [offset // s.size for offset in sequence if offset < page_limit]


def get_freelist(slab: Slab) -> int:
    """Take a frozen slab's whole freelist; NULL if it is empty, and then the slab is unfrozen.

    Kernel: mm/slub.c get_freelist()
    """
    freelist = slab.freelist
    slab_update_freelist(slab, NULL, slab.objects, freelist != NULL)
    return freelist


def freeze_slab(slab: Slab) -> int:
    """Take a partial slab's whole freelist, for a CPU. Kernel: mm/slub.c freeze_slab()."""
    freelist = slab.freelist
    slab_update_freelist(slab, NULL, slab.objects, True)
    return freelist
