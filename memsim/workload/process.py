"""A process: fork, execve, mmap, faults, exit, and every struct and page that they take."""

from __future__ import annotations

from random import Random

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE, nr_pages_of
from memsim.machine.checks import whole
from memsim.words.errors import BadRequest
from memsim.words.gfp import __GFP_ZERO, GFP_KERNEL
from memsim.workload.checks import kind
from memsim.workload.fault import Fault, Thp, handle_mm_fault
from memsim.workload.fork import dup_mmap
from memsim.workload.kernel import Kernel
from memsim.workload.mm import DUP_MM, HPAGE_PMD_NR, MM_ALLOC, TASK_SIZE, Mm, Vma
from memsim.workload.page_cache import File
from memsim.workload.request import Path
from memsim.workload.requester import Requester
from memsim.workload.stacks import alloc_thread_stack_node, free_thread_stack

#: Pages of a stack before it grows. Kernel: fs/exec.c setup_arg_pages()
STACK_PAGES = 33
#: Where an executable's text begins, as a page number.
TEXT_VPN = 0x400
GFP_ZEROED = GFP_KERNEL | __GFP_ZERO
_NO_MEMORY = "fork() returns ENOMEM"


def _copied(what: str, function: str, ask: str = "kmem_cache_alloc") -> Path:
    kernel = f"kernel/fork.c copy_process() -> {function}() -> {ask}()"
    return Path("process", what, kernel, _NO_MEMORY)


#: What copy_process() takes, by cache, in its order; the stack follows task_struct, the mm is
#: before pid.
TASK_STRUCT = _copied("task_struct", "dup_task_struct() -> alloc_task_struct_node")
BEFORE_MM = {
    "cred": _copied("cred", "copy_creds() -> prepare_creds"),
    "files_cache": _copied("files_struct", "copy_files() -> dup_fd"),
    "fs_cache": _copied("fs_struct", "copy_fs() -> copy_fs_struct"),
    "sighand_cache": _copied("sighand_struct", "copy_sighand"),
    "signal_cache": _copied("signal_struct", "copy_signal", "kmem_cache_zalloc"),
}
PID = _copied("pid", "alloc_pid")
#: In which order exit gives them back, after the mm.
_FREED_BEFORE_STACK = ("files_cache", "fs_cache")
_FREED_AFTER_STACK = ("sighand_cache", "pid", "cred", "signal_cache", "task_struct")


class Process(Requester):
    """A task with an address space of its own; its number is its pid.

    thp: /sys/kernel/mm/transparent_hugepage/enabled, for all that it maps. After a fault without
    memory `killed` is True. NOT MODELLED: the OOM killer; the process that asked ends itself.
    Threads; signals; the struct files that it opened; task_delay_info, security and cgroup data.
    """

    kind = "process"

    def __init__(self, kernel: Kernel, thp: Thp = Thp.MADVISE) -> None:
        super().__init__(kernel)
        kind("thp", thp, Thp)
        self.thp = thp
        self.mm = Mm(self)
        self.alive = False
        self.killed = False
        self._stack: int | None = None
        self._objects: dict[str, int] = {}

    def start(self) -> bool:
        """Come into being with nothing mapped but a stack; False without memory for it."""
        self.alive = self._copy_process(None)
        if not self.alive:
            self._release()
        return self.alive

    def fork(self) -> Process | None:
        """A child that shares every page until one of both writes; None without memory.

        Kernel: kernel/fork.c kernel_clone(), copy_process()
        """
        self._check_alive()
        child = Process(self.kernel, self.thp)
        child.alive = child._copy_process(self.mm)
        if not child.alive:
            child._release()
            return None
        return child

    def execve(self, file: File | None = None) -> bool:
        """Begin anew with this file's text mapped; False, and nothing changed, without memory.

        Kernel: fs/exec.c bprm_mm_init(), exec_mmap(), fs/binfmt_elf.c load_elf_binary()
        """
        self._check_alive()
        _check_file(file)
        mm = Mm(self)
        mapped = mm.mm_init(MM_ALLOC) and _map_stack(mm)
        if mapped and file is not None:
            mapped = mm.mmap(file.nr_pages, file, vpn=TEXT_VPN) is not None
        if not mapped:
            mm.exit_mmap()
            return False
        self.mm.exit_mmap()
        self.mm = mm
        return True

    def mmap(
        self, size: int, file: File | None = None, offset: int = 0, *, hugepage: bool = False
    ) -> int | None:
        """The address of size bytes, anonymous or of a file; nothing is there until it is touched.

        offset: bytes, of whole pages. hugepage: with madvise(MADV_HUGEPAGE). None: ENOMEM.
        """
        self._check_alive()
        _check_file(file)
        whole("size", size)
        whole("offset", offset)
        if size < 1 or offset < 0 or offset % PAGE_SIZE:
            raise BadRequest(f"mmap({size}, offset={offset}): a size, and an offset in whole pages")
        pgoff, nr_pages = offset >> PAGE_SHIFT, nr_pages_of(size)
        if file is not None and pgoff + nr_pages > file.nr_pages:
            raise BadRequest(f"mmap({size}, offset={offset}): the file has {file.nr_pages} pages")
        vma = self.mm.mmap(nr_pages, file, pgoff, hugepage=hugepage)
        return None if vma is None else vma.vpn << PAGE_SHIFT

    def munmap(self, address: int) -> None:
        """Unmap the whole area at this address."""
        self._check_alive()
        self.mm.munmap(self._area(address))

    def fault(self, address: int, write: bool = True) -> int | None:
        """Touch an address: the pfn that is mapped there then; 0 for the zero page.

        None: no memory, and the process is gone. Kernel: arch/x86/mm/fault.c do_user_addr_fault()
        -> mm/memory.c handle_mm_fault()
        """
        self._check_alive()
        self._area(address)
        vpn = address >> PAGE_SHIFT
        if handle_mm_fault(self.mm, vpn, write, self.thp) is Fault.OOM:
            self.exit()
            self.killed = True
            return None
        return self.translate(address)

    def translate(self, address: int) -> int | None:
        """The pfn behind an address; 0 for the zero page, None where nothing is mapped."""
        vma, vpn = self._area(address), address >> PAGE_SHIFT
        pmd = vma.pmds.get(vpn // HPAGE_PMD_NR)
        if pmd is not None:
            return pmd.folio.pfn + vpn % HPAGE_PMD_NR
        pte = vma.ptes.get(vpn)
        return None if pte is None else pte.pfn

    def exit(self) -> None:
        """Give everything back. Kernel: kernel/exit.c do_exit(), release_task()."""
        self._check_alive()
        self.alive = False
        self._release()

    def stop(self) -> None:
        """exit(), if it lives."""
        if self.alive:
            self.exit()

    def step(self, chance: Random) -> None:
        """Touch one page of an area, for reading or writing."""
        if self.alive:
            vma = chance.choice(self.mm.vmas)
            vpn = vma.vpn + chance.randrange(vma.nr_pages)
            self.fault(vpn << PAGE_SHIFT, write=chance.random() < 0.7)

    # Inside

    def _copy_process(self, oldmm: Mm | None) -> bool:
        """Everything a task is made of; False leaves what was got to _release()."""
        if not self._take(TASK_STRUCT, "task_struct"):
            return False
        self._stack = alloc_thread_stack_node(self)
        if self._stack is None:
            return False
        if not all(self._take(path, cache) for cache, path in BEFORE_MM.items()):
            return False
        if not self.mm.mm_init(DUP_MM):
            return False
        copied = _map_stack(self.mm) if oldmm is None else dup_mmap(self.mm, oldmm)
        return copied and self._take(PID, "pid")

    def _take(self, path: Path, cache: str) -> bool:
        gfp_mask = GFP_ZEROED if cache == "signal_cache" else GFP_KERNEL
        address = self.kmem_cache_alloc(path, cache, gfp_mask)
        if address is not None:
            self._objects[cache] = address
        return address is not None

    def _release(self) -> None:
        self.mm.exit_mmap()
        self._put(_FREED_BEFORE_STACK)
        if self._stack is not None:
            free_thread_stack(self, self._stack)
            self._stack = None
        self._put(_FREED_AFTER_STACK)

    def _put(self, caches: tuple[str, ...]) -> None:
        for cache in caches:
            if cache in self._objects:
                self.kmem_cache_free(cache, self._objects.pop(cache))

    def _area(self, address: int) -> Vma:
        whole("address", address)
        vma = self.mm.find_vma(address >> PAGE_SHIFT) if address >= 0 else None
        if vma is None:
            raise BadRequest(f"{self.name}: nothing is mapped at {address:#x}")
        return vma

    def _check_alive(self) -> None:
        if not self.alive:
            raise BadRequest(f"{self.name} does not live: start() it, or it was killed or exited")


def _check_file(file: File | None) -> None:
    if file is not None:
        kind("file", file, File)


def _map_stack(mm: Mm) -> bool:
    return mm.mmap(STACK_PAGES, vpn=TASK_SIZE - STACK_PAGES) is not None
