"""Memory that debugging caches keep, and what the kernel says of it.

>>> from memsim.machine import Machine
>>> from memsim.words.slab import SLAB_POISON
>>> machine = Machine("64 MiB", slab=True)
>>> cache = machine.kmem_cache_create("my_object", 100, flags=SLAB_POISON)
>>> obj = machine.kmem_cache_alloc(cache)
>>> machine.write_memory(obj, b"hello")
>>> machine.kmem_cache_free(cache, obj)
>>> machine.read_memory(obj, 5)
b'kkkkk'
>>> machine.write_memory(obj, b"hello")
>>> machine.validate_slab_cache(cache)[0].partition("] ")[0]
'[Poison overwritten'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from memsim.lib.text import one_line
from memsim.machine.checks import whole
from memsim.machine.kmalloc import KmallocRequests
from memsim.mm.slub import debug_validate, memory
from memsim.mm.slub.slab import KmemCache, Slab
from memsim.words.errors import BadRequest, KernelBug

_T = TypeVar("_T")


class SlabDebugRequests(KmallocRequests):
    """The part of a Machine that reads and writes objects of caches that debug."""

    def read_memory(self, address: int, count: int) -> bytes:
        """What any code would read there, freed or not: no one is told of it.

        BadRequest unless all of it is in one slab of a cache that debugs.
        """
        whole("count", count)
        data = memory.read_bytes(self._slab_with_bytes(address), address, count)
        if data is None:
            raise BadRequest(f"count={count}: not all of it is in the slab of {address:#x}")
        return data

    def write_memory(self, address: int, data: bytes) -> None:
        """Write there, as any code could, whatever it destroys. BadRequest as of read_memory()."""
        slab = self._slab_with_bytes(address)
        if not isinstance(data, bytes | bytearray | memoryview):
            raise BadRequest(f"data={one_line(data, 40)!r}: should be bytes")
        data = bytes(data)
        self.read_memory(address, len(data))
        name = f"write_memory({address:#x}, {len(data)} bytes)"
        self._do(name, 0, lambda: (memory.write_bytes(slab, address, data), None)[1])

    def validate_slab_cache(self, cache: KmemCache) -> list[str]:
        """Have the kernel check a cache; the lines it logs. What is wrong is repaired.

        Kernel: mm/slub.c validate_slab_cache()
        """
        self._check_cache(cache)
        log = self._state().log
        first = len(log)
        name = f"validate_slab_cache({cache.name})"
        self._do(name, 0, lambda: bool(debug_validate.validate_slab_cache(cache)))
        return log[first:]

    def slab_log(self) -> list[str]:
        """Every line that the slab allocator logged; undo() takes none of them back."""
        return list(self._state().log)

    # Inside

    def _slab_with_bytes(self, address: int) -> Slab:
        slab = self.slab_at(address)
        if slab is None or slab.memory is None:
            raise BadRequest(f"address={address:#x}: in no slab of a cache that debugs")
        return slab

    def _do(self, name: str, cpu: int, call: Callable[[], _T], daemon: bool = False) -> _T:
        """Run an operation; where the kernel would die of it, take it back and raise KernelBug."""
        result = super()._do(name, cpu, call, daemon)
        oops = self.vm.slab.debug.oops if hasattr(self.vm, "slab") else ""
        if oops:
            self.vm.slab.debug.oops = ""
            if self.vm.fields_seen:
                while self.undo().daemon:
                    pass
                self._undone.clear()
            raise KernelBug(oops)
        return result
