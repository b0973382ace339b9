"""Where vmalloc's addresses lie, and the limits of its bookkeeping.

Kernel: include/linux/vmalloc.h, mm/vmalloc.c, arch/x86/include/asm/pgtable_64_types.h,
pgtable_32_areas.h
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SIZE

VM_IOREMAP = 0x00000001
VM_ALLOC = 0x00000002
VM_MAP = 0x00000004
VM_USERMAP = 0x00000008
VM_DMA_COHERENT = 0x00000010
VM_UNINITIALIZED = 0x00000020
VM_NO_GUARD = 0x00000040
VM_KASAN = 0x00000080
VM_FLUSH_RESET_PERMS = 0x00000100
VM_MAP_PUT_PAGES = 0x00000200
VM_ALLOW_HUGE_VMAP = 0x00000400
VM_SPARSE = 0x00001000

#: vmap_area.flags: a vm_map_ram() area, one of the kind that is cut into blocks.
VMAP_RAM = 0x1
VMAP_BLOCK = 0x2
VMAP_FLAGS_MASK = 0x3

#: Areas of up to so many pages, the guard page among them, are kept in pools.
MAX_VA_SIZE_PAGES = 256
#: vmap_area.flags has the vmap_node from this bit on, plus one.
VN_ID_SHIFT = 8
#: vm_map_ram() takes up to so many pages out of a block, and blocks have so many pages: with
#: 64 bits and NR_CPUS 8192.
VMAP_MAX_ALLOC = 64
VMAP_BBMAP_BITS = 256
VMAP_BLOCK_SIZE = VMAP_BBMAP_BITS * PAGE_SIZE
VMAP_PURGE_THRESHOLD = VMAP_BBMAP_BITS // 4
#: 2^24 bytes at most are aligned for ioremap() by their size.
IOREMAP_MAX_ORDER = 30

ULONG_MAX = (1 << 64) - 1
#: lazy_max_pages() for each doubling of CPUs.
LAZY_PAGES = 32 * 1024 * 1024 // PAGE_SIZE

#: x86-64 with four levels of page tables, without KASLR.
VMALLOC_START = 0xFFFF_C900_0000_0000
VMALLOC_END = 0xFFFF_E8FF_FFFF_FFFF
MODULES_VADDR = 0xFFFF_FFFF_C000_0000
MODULES_END = 0xFFFF_FFFF_FF00_0000
