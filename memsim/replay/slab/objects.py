"""Which of memsim's objects stands for an object of the recording, and which are in use.

An object in use when the recording began stands for itself. One that was allocated since is
whatever memsim answered: a wrong answer counts once, and the replay goes on with memsim's own.
"""

from __future__ import annotations

from memsim.lib.bits import PAGE_SHIFT
from memsim.mm.slub.alloc import Object
from memsim.mm.slub.slab import Slab, SlabState, slab_address
from memsim.mm.slub.snapshot import freelist_of

_64_BITS = (1 << 64) - 1
#: Pointers below this are none: NULL, ZERO_SIZE_PTR.
_NO_POINTERS = 4096


class Objects:
    """The recording's pointers -> memsim's objects. Pointers are as rows hold them: signed."""

    def __init__(self, state: SlabState, page_offset_base: int) -> None:
        self._state = state
        self._base = page_offset_base
        #: Live objects that memsim has elsewhere; None where it has none.
        self._elsewhere: dict[int, Object | None] = {}
        #: By slab: 1 for each object in use.
        self._used: dict[Slab, bytearray] = {}

    def address(self, obj: Object) -> int:
        """The object's address."""
        slab, index = obj
        s = slab.slab_cache
        return slab_address(slab, self._base) + s.red_left_pad + index * s.size

    def is_at(self, obj: Object, pointer: int) -> bool:
        """Is memsim's object at the recorded one's address?"""
        return self.address(obj) == pointer & _64_BITS

    def allocated(self, pointer: int, obj: Object | None) -> None:
        """The recording's object is memsim's."""
        if obj is not None:
            self._use(obj[0])[obj[1]] = 1
            if self.is_at(obj, pointer):
                self._elsewhere.pop(pointer, None)
                return
        self._elsewhere[pointer] = obj

    def freed(self, pointer: int) -> tuple[Object | None, str]:
        """memsim's object for one that the recording frees, or None and why."""
        if 0 <= pointer < _NO_POINTERS:
            return None, "frees of nothing"
        if pointer in self._elsewhere:
            obj = self._elsewhere.pop(pointer)
            why = "frees of objects that memsim had not given"
        else:
            obj = self.itself(pointer)
            why = "frees of memory that is no object: large kmalloc"
        if obj is None:
            return None, why
        used = self._use(obj[0])
        if not used[obj[1]]:
            return None, "frees of objects that memsim has free"
        used[obj[1]] = 0
        return obj, ""

    def itself(self, pointer: int) -> Object | None:
        """The object at this address."""
        offset = (pointer & _64_BITS) - self._base
        slab = self._state.page_slab.get(offset >> PAGE_SHIFT)
        if slab is None:
            return None
        index = (offset - (slab.pfn << PAGE_SHIFT)) // slab.slab_cache.size
        return (slab, index) if index < slab.objects else None

    def in_use(self, obj: Object) -> bool:
        """Has somebody this object of memsim's?"""
        return bool(self._use(obj[0])[obj[1]])

    def is_elsewhere(self, obj: Object) -> bool:
        """Does memsim's object stand for one that the recording has at another address?"""
        return obj in self._elsewhere.values()

    def _use(self, slab: Slab) -> bytearray:
        """Which objects of the slab are in use; of a slab not met before, all but the listed."""
        used = self._used.get(slab)
        if used is None or used.__len__() != slab.objects:
            used = self._used[slab] = bytearray(b"\1" * slab.objects)
            for c in slab.slab_cache.cpu_slab:
                for index in freelist_of(slab, c.freelist) if c.slab is slab else ():
                    used[index] = 0
            for index in freelist_of(slab, slab.freelist):
                used[index] = 0
        return used

    def forget(self, slab: Slab) -> None:
        """The slab is given back."""
        self._used.pop(slab, None)
