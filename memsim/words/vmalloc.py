"""Where vmalloc's addresses lie, and the limits of its bookkeeping.

Kernel: include/linux/vmalloc.h, mm/vmalloc.c, arch/x86/include/asm/pgtable_64_types.h,
pgtable_32_areas.h
"""

from __future__ import annotations

from typing import NamedTuple

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, clamp

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
#: lazy_max_pages() for each doubling of CPUs.
LAZY_PAGES = 32 * 1024 * 1024 // PAGE_SIZE
#: kvmalloc() goes on with vmalloc() up to so many bytes.
INT_MAX = (1 << 31) - 1


class VmallocLayout(NamedTuple):
    """Where a machine's vmalloc has its addresses, and what its word size decides.

    VMAP_MAX_ALLOC: vm_map_ram() takes up to so many pages out of a block of VMAP_BBMAP_BITS.
    IOREMAP_MAX_ORDER: areas of ioremap() are aligned by their size, up to 2 to this power.
    levels, index_bits: of page tables. huge: entries above the last level may map memory, which
    takes CONFIG_HAVE_ARCH_HUGE_VMAP and CONFIG_HAVE_ARCH_HUGE_VMALLOC.
    SHMLBA: what vmalloc_user() is aligned by. phys_bits: of a physical address.
    """

    VMALLOC_START: int
    VMALLOC_END: int
    bits_per_long: int
    VMAP_MAX_ALLOC: int
    VMAP_BBMAP_BITS: int
    IOREMAP_MAX_ORDER: int
    levels: int
    index_bits: int
    huge: bool
    phys_bits: int
    SHMLBA: int = PAGE_SIZE

    @property
    def ULONG_MAX(self) -> int:
        """The highest address."""
        return (1 << self.bits_per_long) - 1

    @property
    def sizeof_pointer(self) -> int:
        """Bytes."""
        return self.bits_per_long // 8

    @property
    def VMAP_BLOCK_SIZE(self) -> int:
        """Bytes in a block of vm_map_ram()."""
        return self.VMAP_BBMAP_BITS * PAGE_SIZE

    @property
    def VMAP_PURGE_THRESHOLD(self) -> int:
        """Below so many pages never handed out, a block without mappings is given up."""
        return self.VMAP_BBMAP_BITS // 4


def vmap_bbmap_bits(bits_per_long: int, nr_cpus_max: int) -> int:
    """Pages in a block of vm_map_ram(); nr_cpus_max, NR_CPUS, is a power of two.

    Kernel: mm/vmalloc.c VMALLOC_SPACE, VMAP_BBMAP_BITS
    """
    vmalloc_space = 128 << (20 if bits_per_long == 32 else 30)
    return clamp((vmalloc_space >> PAGE_SHIFT) // nr_cpus_max // 16, 2 * bits_per_long, 1024)


ULONG_MAX = (1 << 64) - 1
#: x86-64 with four levels of page tables, without KASLR.
VMALLOC_START = 0xFFFF_C900_0000_0000
VMALLOC_END = 0xFFFF_E8FF_FFFF_FFFF
MODULES_VADDR = 0xFFFF_FFFF_C000_0000
MODULES_END = 0xFFFF_FFFF_FF00_0000

#: x86-64, NR_CPUS 8192, a CPU with 46 bits of physical addresses.
LAYOUT_64 = VmallocLayout(
    VMALLOC_START, VMALLOC_END, bits_per_long=64, VMAP_MAX_ALLOC=64,
    VMAP_BBMAP_BITS=vmap_bbmap_bits(64, 8192), IOREMAP_MAX_ORDER=30, levels=4, index_bits=9,
    huge=True, phys_bits=46,
)  # fmt: skip
VMAP_MAX_ALLOC = LAYOUT_64.VMAP_MAX_ALLOC
VMAP_BBMAP_BITS = LAYOUT_64.VMAP_BBMAP_BITS
VMAP_BLOCK_SIZE = LAYOUT_64.VMAP_BLOCK_SIZE

#: x86 with 32 bits: the hole behind lowmem, and where the windows above vmalloc begin: with
#: NR_CPUS 8 the fixmap and the CPU entry areas take the last 8 MiB, the LDTs the 4 MiB below
#: them, and kmap()'s window the next.
PAGE_OFFSET_32 = 0xC000_0000
VMALLOC_OFFSET = 8 << 20
PKMAP_BASE = 0xFF00_0000


def layout_32(high_memory: int) -> VmallocLayout:
    """x86 with 32 bits, without PAE: between lowmem, which ends at high_memory, and PKMAP.

    Of the 128 MiB of __VMALLOC_RESERVE above 896 MiB of lowmem 104 are left.
    NOT MODELLED: MAXMEM, which has lowmem end lower by what lies above VMALLOC_END (16 MiB with
    8 CPUs); here it ends at 896 MiB, as the zone does; the boot option vmalloc=.
    Kernel: arch/x86/include/asm/pgtable_32_areas.h VMALLOC_START, VMALLOC_END
    """
    return VmallocLayout(
        high_memory + VMALLOC_OFFSET, PKMAP_BASE - 2 * PAGE_SIZE, bits_per_long=32,
        VMAP_MAX_ALLOC=32, VMAP_BBMAP_BITS=vmap_bbmap_bits(32, 8), IOREMAP_MAX_ORDER=22, levels=2,
        index_bits=10, huge=False, phys_bits=32,
    )  # fmt: skip
