"""Page faults in anonymous regions.

NOT MODELLED: the zero page (a read of new memory takes a folio too), huge pages, copy on write.

Kernel: mm/memory.c
"""

from __future__ import annotations

from memsim.mm.filemap import folio_alloc
from memsim.mm.folio import AddressSpace
from memsim.mm.mmzone import Vm
from memsim.mm.rmap import access, add_anon_folio
from memsim.words.mmzone import NULL


def handle_mm_fault(vm: Vm, region: AddressSpace, index: int, gfp_mask: int, nid: int) -> int:
    """Use a page of a region: the folio mapped there, or a new one; NULL without memory for it.

    Kernel: mm/memory.c handle_mm_fault(), do_anonymous_page()
    """
    entry = region.i_pages.get(index, NULL)
    if entry >= 0:
        access(vm, entry)
        return entry
    folio = folio_alloc(vm, gfp_mask, nid)
    if folio != NULL:
        add_anon_folio(vm, region, folio, index)
    return folio
