"""Drivers whose devices read and write memory themselves: coherent buffers, DMA pools."""

from __future__ import annotations

from random import Random

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, get_order
from memsim.words.errors import BadRequest
from memsim.words.gfp import __GFP_ZERO, GFP_DMA, GFP_DMA32, GFP_KERNEL
from memsim.words.mmzone import MAX_PAGE_ORDER
from memsim.workload.checks import between
from memsim.workload.kernel import Kernel
from memsim.workload.request import Path
from memsim.workload.requester import Requester

#: ZONE_DMA ends where 24 address lines do.
ZONE_DMA_BITS = 24
#: struct dma_pool and struct dma_page, bytes. Kernel: mm/dmapool.c
SIZEOF_DMA_POOL = 128
SIZEOF_DMA_PAGE = 32
GFP_POOL = GFP_KERNEL | __GFP_ZERO

COHERENT = Path(
    "driver", "coherent buffer",
    "kernel/dma/mapping.c dma_alloc_attrs() -> kernel/dma/direct.c dma_direct_alloc()"
    " -> __dma_direct_alloc_pages() -> alloc_pages_node()",
    "the driver's probe fails: ENOMEM",
)  # fmt: skip
POOL = Path(
    "driver", "struct dma_pool",
    "mm/dmapool.c dma_pool_create() -> kzalloc()",
    "the driver's probe fails: ENOMEM",
)  # fmt: skip
POOL_PAGE = Path(
    "driver", "struct dma_page",
    "mm/dmapool.c dma_pool_alloc() -> pool_alloc_page() -> kmalloc()",
    "the transfer is not begun",
)  # fmt: skip


def dma_alloc_coherent(
    requester: Requester, path: Path, size: int, gfp_mask: int, mask_bits: int
) -> int | None:
    """Pages for size bytes that a device with so many address lines reaches: the first pfn.

    What lies too high is given back and asked for in the next lower zone. Kernel:
    kernel/dma/direct.c __dma_direct_alloc_pages(). NOT MODELLED: CMA; IOMMU; swiotlb.
    """
    order = get_order(size)
    gfp_mask |= dma_direct_optimal_gfp_mask(mask_bits)
    while True:
        pfn = requester.alloc_pages(path, gfp_mask, order)
        if pfn is None or (pfn << PAGE_SHIFT) + size <= 1 << mask_bits:
            return pfn
        requester.free_pages(pfn, order)
        if gfp_mask & GFP_DMA:
            return None
        if mask_bits < 64 and not gfp_mask & GFP_DMA32:
            gfp_mask |= GFP_DMA32
        else:
            gfp_mask = (gfp_mask & ~GFP_DMA32) | GFP_DMA


def dma_direct_optimal_gfp_mask(mask_bits: int) -> int:
    """The zone in which all that the device reaches lies. Kernel: kernel/dma/direct.c."""
    if mask_bits <= ZONE_DMA_BITS:
        return GFP_DMA
    return GFP_DMA32 if mask_bits <= 32 else 0


class CoherentBuffer(Requester):
    """A buffer that a device and the CPU both see, as a sound card's; size is in bytes."""

    kind = "coherent buffer"

    def __init__(self, kernel: Kernel, size: int = 65536, mask_bits: int = 32) -> None:
        super().__init__(kernel)
        between("size", size, 1, PAGE_SIZE << MAX_PAGE_ORDER)
        between("mask_bits", mask_bits, ZONE_DMA_BITS, 64)
        self.size = size
        self.mask_bits = mask_bits
        self.pfn: int | None = None

    def start(self) -> bool:
        """The device is opened: dma_alloc_coherent(), if there is no buffer yet."""
        if self.pfn is None:
            mask = GFP_KERNEL
            self.pfn = dma_alloc_coherent(self, COHERENT, self.size, mask, self.mask_bits)
        return self.pfn is not None

    def step(self, chance: Random) -> None:
        """The device is closed, or opened again."""
        if self.pfn is None:
            self.start()
        else:
            self.stop()

    def stop(self) -> None:
        """Closed: dma_free_coherent()."""
        if self.pfn is not None:
            self.free_pages(self.pfn, get_order(self.size))
        self.pfn = None


class DmaPool(Requester):
    """Small blocks for a device's descriptors, as USB's; size is in bytes.

    most: blocks in use at once. Kernel: mm/dmapool.c
    """

    kind = "DMA pool"

    def __init__(
        self, kernel: Kernel, size: int = 96, mask_bits: int = 32, most: int = 200
    ) -> None:
        super().__init__(kernel)
        between("size", size, 8, PAGE_SIZE)
        between("mask_bits", mask_bits, ZONE_DMA_BITS, 64)
        between("most", most, 1)
        self.size = size
        self.mask_bits = mask_bits
        self.most = most
        self.pool: int | None = None
        #: (struct dma_page, pfn) of each page; blocks as addresses of the device.
        self.pages: list[tuple[int, int]] = []
        self.free_blocks: list[int] = []
        self.in_use: list[int] = []

    def start(self) -> bool:
        """dma_pool_create(): the struct alone."""
        self.pool = self.kmalloc(POOL, SIZEOF_DMA_POOL, GFP_POOL)
        return self.pool is not None

    def dma_pool_alloc(self, gfp_mask: int = GFP_KERNEL) -> int | None:
        """A block's address as the device sees it; a new page if all blocks are in use."""
        if not self.free_blocks and not self._pool_alloc_page(gfp_mask):
            return None
        block = self.free_blocks.pop()
        self.in_use.append(block)
        return block

    def dma_pool_free(self, block: int) -> None:
        """Give a block back; its page stays with the pool. The last freed is the next given."""
        if block not in self.in_use:
            raise BadRequest(f"{self.name}: {block:#x} is no block in use")
        self.in_use.remove(block)
        self.free_blocks.append(block)

    def step(self, chance: Random) -> None:
        """A transfer begins, or one ends."""
        if self.in_use and (len(self.in_use) >= self.most or chance.random() < 0.4):
            self.dma_pool_free(chance.choice(self.in_use))
        else:
            self.dma_pool_alloc()

    def stop(self) -> None:
        """dma_pool_destroy(): every page, every struct."""
        for page, pfn in self.pages:
            self.free_pages(pfn)
            self.machine.kfree(page, cpu=self.cpu)
        if self.pool is not None:
            self.machine.kfree(self.pool, cpu=self.cpu)
        self.pool = None
        self.pages, self.free_blocks, self.in_use = [], [], []

    def _pool_alloc_page(self, gfp_mask: int) -> bool:
        page = self.kmalloc(POOL_PAGE, SIZEOF_DMA_PAGE, gfp_mask)
        if page is None:
            return False
        pfn = dma_alloc_coherent(self, COHERENT, PAGE_SIZE, gfp_mask, self.mask_bits)
        if pfn is None:
            self.machine.kfree(page, cpu=self.cpu)
            return False
        self.pages.append((page, pfn))
        first = pfn << PAGE_SHIFT
        blocks = range(first, first + PAGE_SIZE - self.size + 1, self.size)
        self.free_blocks.extend(reversed(blocks))
        return True
