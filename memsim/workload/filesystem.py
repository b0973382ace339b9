"""A filesystem as ext4 is: dentries, inodes, open files, and files' pages through the page cache.

Within the filesystem's own code requests are GFP_NOFS: reclaim must not call back into it.
"""

from __future__ import annotations

from random import Random

from memsim.words.errors import BadRequest
from memsim.words.gfp import (
    __GFP_ACCOUNT,
    __GFP_COMP,
    __GFP_FS,
    __GFP_MOVABLE,
    __GFP_NOFAIL,
    __GFP_ZERO,
    GFP_KERNEL,
    GFP_NOFS,
    GFP_USER,
)
from memsim.workload.checks import between, part
from memsim.workload.kernel import Kernel
from memsim.workload.page_cache import MAX_FILE_PAGES, File
from memsim.workload.request import Path
from memsim.workload.requester import Requester

NAMES = Path(
    "filesystem", "path name, for a moment",
    "fs/namei.c getname_flags() -> kmem_cache_alloc(names_cachep)",
    "open() returns ENOMEM",
)  # fmt: skip
DENTRY = Path(
    "filesystem", "dentry",
    "fs/dcache.c d_alloc() -> __d_alloc() -> kmem_cache_alloc_lru()",
    "open() returns ENOMEM",
)  # fmt: skip
INODE = Path(
    "filesystem", "inode",
    "fs/inode.c iget_locked() -> alloc_inode() -> fs/ext4/super.c ext4_alloc_inode()"
    " -> alloc_inode_sb()",
    "open() returns ENOMEM",
)  # fmt: skip
FILP = Path(
    "filesystem", "open file",
    "fs/file_table.c alloc_empty_file() -> kmem_cache_zalloc(filp_cachep)",
    "open() returns ENOMEM",
)  # fmt: skip
BDEV = Path(
    "filesystem", "block of the inode table",
    "fs/buffer.c bdev_getblk() -> grow_buffers() -> grow_dev_folio() -> __filemap_get_folio()",
    "the kernel tries for ever",
)  # fmt: skip
BDEV_BUFFER_HEAD = Path(
    "filesystem", "buffer_head of the inode table",
    "fs/buffer.c grow_dev_folio() -> folio_alloc_buffers() -> alloc_buffer_head()"
    " -> kmem_cache_zalloc()",
    "the kernel tries for ever",
)  # fmt: skip
BUFFER_HEAD = Path(
    "filesystem", "buffer_head",
    "fs/buffer.c create_empty_buffers() -> folio_alloc_buffers() -> alloc_buffer_head()"
    " -> kmem_cache_zalloc()",
    "the kernel tries for ever",
)  # fmt: skip

#: Inodes of 256 bytes in a block of 4 KiB.
INODES_PER_BLOCK = 16
_GFP_BDEV = ((GFP_USER | __GFP_MOVABLE) & ~__GFP_FS) | __GFP_NOFAIL
GFP_BDEV = _GFP_BDEV | __GFP_COMP
GFP_BDEV_BUFFER_HEAD = _GFP_BDEV | __GFP_ACCOUNT | __GFP_ZERO
GFP_BUFFER_HEAD = GFP_NOFS | __GFP_NOFAIL | __GFP_ACCOUNT | __GFP_ZERO
GFP_FILP = GFP_KERNEL | __GFP_ZERO


class Inode:
    """A file that is known: its dentry, its inode, its pages; by index, buffer_heads of those."""

    def __init__(self, dentry: int, inode: int, file: File) -> None:
        self.dentry = dentry
        self.inode = inode
        self.file = file
        self.buffer_heads: dict[int, int] = {}


class Filesystem(Requester):
    """Files that are looked up, read, written and, the oldest first, forgotten.

    large_folios: the page cache may use them, as XFS does; its inodes would be others. most_files:
    known at once. file_pages: of a file, at most. write: share of steps that write. memory: share
    of the machine's memory that files' pages may take. NOT MODELLED: reclaim, which would forget;
    journal, extents, directories' blocks.
    """

    kind = "filesystem"

    def __init__(
        self, kernel: Kernel, *, large_folios: bool = False, most_files: int = 200,
        file_pages: int = 128, write: float = 0.2, memory: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__(kernel)
        between("most_files", most_files, 1)
        between("file_pages", file_pages, 1, MAX_FILE_PAGES)
        part("write", write)
        part("memory", memory)
        self.large_folios = large_folios
        self.most_files = most_files
        self.file_pages = file_pages
        self.write_share = write
        self.most_pages = int(kernel.nr_free_at_start * memory)
        self.inodes: list[Inode] = []
        self.block_device = File(self, 1 << 20)
        self._block_buffers: list[int] = []
        self._known = 0

    def lookup(self, nr_pages: int) -> Inode | None:
        """Find a file of so many pages by its name; None without memory, and nothing is held.

        Kernel: fs/namei.c path_openat(), fs/ext4/inode.c __ext4_iget()
        """
        between("nr_pages", nr_pages, 1, MAX_FILE_PAGES)
        name = self.kmem_cache_alloc(NAMES, "names_cache", GFP_KERNEL)
        if name is None:
            return None
        inode = self._lookup(nr_pages)
        self.kmem_cache_free("names_cache", name)
        return inode

    def read(self, inode: Inode, index: int, count: int) -> int:
        """Open, read count pages from index on, close: pages that were read."""
        self._check(inode, index, count)
        filp = self.kmem_cache_alloc(FILP, "filp", GFP_FILP)
        if filp is None:
            return 0
        pages = inode.file.filemap_read(index, count)
        self.kmem_cache_free("filp", filp)
        return pages

    def write(self, inode: Inode, index: int, count: int) -> int:
        """Open, write count pages from index on, close: pages that were written."""
        self._check(inode, index, count)
        filp = self.kmem_cache_alloc(FILP, "filp", GFP_FILP)
        if filp is None:
            return 0
        written = 0
        while written < count and self._write_page(inode, index + written):
            written += 1
        self.kmem_cache_free("filp", filp)
        return written

    def evict(self, inode: Inode) -> None:
        """Forget a file that nobody maps. Kernel: fs/inode.c evict(), fs/dcache.c dentry_free()."""
        self._check(inode)
        if inode.file.mappings:
            raise BadRequest(f"{self.name}: a file that {inode.file.mappings} areas map stays")
        self.inodes.remove(inode)
        for buffer_head in inode.buffer_heads.values():
            self.kmem_cache_free("buffer_head", buffer_head)
        inode.file.truncate()
        self.kmem_cache_free("dentry", inode.dentry)
        self.kmem_cache_free("ext4_inode_cache", inode.inode)

    def step(self, chance: Random) -> None:
        """Look a file up, or read or write one; where there are too many, forget the oldest."""
        too_many = sum(inode.file.cached for inode in self.inodes) > self.most_pages
        if too_many or len(self.inodes) >= self.most_files:
            self.evict(self.inodes[0])
        if len(self.inodes) < 4 or chance.random() < 0.3:
            self.lookup(chance.randint(1, self.file_pages))
            return
        inode = chance.choice(self.inodes)
        index = 0 if chance.random() < 0.6 else chance.randrange(inode.file.nr_pages)
        count = chance.randint(1, 16)
        if chance.random() < self.write_share:
            self.write(inode, index, count)
        else:
            self.read(inode, index, count)

    def stop(self) -> None:
        """Forget every file, and the blocks of the device."""
        for inode in list(self.inodes):
            self.evict(inode)
        for buffer_head in self._block_buffers:
            self.kmem_cache_free("buffer_head", buffer_head)
        self._block_buffers = []
        self.block_device.truncate()

    def _lookup(self, nr_pages: int) -> Inode | None:
        dentry = self.kmem_cache_alloc(DENTRY, "dentry", GFP_KERNEL)
        if dentry is None:
            return None
        address = self.kmem_cache_alloc(INODE, "ext4_inode_cache", GFP_NOFS)
        if address is None or not self._read_inode_table():
            if address is not None:
                self.kmem_cache_free("ext4_inode_cache", address)
            self.kmem_cache_free("dentry", dentry)
            return None
        inode = Inode(dentry, address, File(self, nr_pages, self.large_folios))
        self.inodes.append(inode)
        return inode

    def _read_inode_table(self) -> bool:
        """The block that has the inode, which fifteen others share. __ext4_get_inode_loc()."""
        index = self._known // INODES_PER_BLOCK
        if self.block_device.folio_at(index) is None:
            if self.block_device.filemap_add(BDEV, index, 0, GFP_BDEV) is None:
                return False
            buffer_head = self._alloc_buffer_head(BDEV_BUFFER_HEAD, GFP_BDEV_BUFFER_HEAD)
            if buffer_head is not None:
                self._block_buffers.append(buffer_head)
        self._known += 1
        return True

    def _write_page(self, inode: Inode, index: int) -> bool:
        """A page gets its buffer_head when it is first written, though it was read before."""
        if inode.file.write_begin(index) is None:
            return False
        if index not in inode.buffer_heads:
            buffer_head = self._alloc_buffer_head(BUFFER_HEAD, GFP_BUFFER_HEAD)
            if buffer_head is None:
                return False
            inode.buffer_heads[index] = buffer_head
        return True

    def _alloc_buffer_head(self, path: Path, gfp_mask: int) -> int | None:
        return self.kmem_cache_alloc(path, "buffer_head", gfp_mask)

    def _check(self, inode: Inode, index: int = 0, count: int = 0) -> None:
        between("index", index, 0, MAX_FILE_PAGES)
        between("count", count, 0, MAX_FILE_PAGES)
        if inode not in self.inodes:
            raise BadRequest(f"{self.name}: no such file, or it was forgotten")
