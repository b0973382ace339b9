"""Slabs as they lie in memory, whole and spoilt: pointers encoded, and their freelists followed.

What is right comes from memsim's own freelist_ptr_encode() and check_valid_pointer().
"""

from types import SimpleNamespace

from memsim.lib.bits import PAGE_SHIFT, PAGE_SIZE
from memsim.mm.slub.freelist import freelist_ptr_encode
from memsim.mm.slub.memory import check_valid_pointer, ptr_to_obj
from memsim.words.mmzone import NULL
from memsim.words.slab import PAGE_OFFSET


class RIGHT:
    """The model's encoding, and its opinion of a pointer."""

    def __init__(self, slab):
        self.slab = slab
        wild = SimpleNamespace(wild=[], wild_code={})
        vm = SimpleNamespace(slab=SimpleNamespace(debug=wild))
        self.model = SimpleNamespace(
            pfn=(slab["start"] - PAGE_OFFSET) >> PAGE_SHIFT,
            objects=slab["objects"],
            slab_cache=SimpleNamespace(size=slab["size"], flags=0, vm=vm),
        )

    def encode(self, ptr, ptr_addr):
        return freelist_ptr_encode(self.slab["random"], ptr, ptr_addr)

    def kept_at(self, index):
        return self.slab["start"] + index * self.slab["size"] + self.slab["offset"]

    def index_of(self, ptr):
        index = ptr_to_obj(self.model, ptr)
        return index if check_valid_pointer(index) else None

    def following(self, index):
        return self.encode(self.slab["words"][index], self.kept_at(index))

    def freelist(self):
        objects, ptr = [], self.slab["first"]
        while True:
            index = self.index_of(ptr)
            if index is None:
                return {"objects": objects, "end": "corrupt"}
            if index == NULL:
                return {"objects": objects, "end": "NULL"}
            if index in objects:
                return {"objects": objects, "end": "ring"}
            objects.append(index)
            ptr = self.following(index)


class NoSwab(RIGHT):
    def encode(self, ptr, ptr_addr):
        return ptr ^ self.slab["random"] ^ ptr_addr


class SwapsPointer(RIGHT):
    def encode(self, ptr, ptr_addr):
        return freelist_ptr_encode(self.slab["random"], ptr_addr, ptr)


class AtObject(RIGHT):
    def kept_at(self, index):
        return self.slab["start"] + index * self.slab["size"]


class InsideIsEnough(RIGHT):
    def index_of(self, ptr):
        size = self.slab["size"]
        return super().index_of(ptr and ptr - (ptr - self.slab["start"]) % size)


class ZeroIsKept(RIGHT):
    def index_of(self, ptr):
        return super().index_of(ptr) if ptr else None

    def following(self, index):
        return super().following(index) if self.slab["words"][index] else 0


MISTAKES = {
    "no_swab": NoSwab,
    "swaps_pointer": SwapsPointer,
    "at_object": AtObject,
    "inside_is_enough": InsideIsEnough,
    "zero_is_kept": ZeroIsKept,
}


def draw(rng):
    told = [
        ("nothing was spoilt", _whole, ""),
        ("one byte of a kept pointer was changed", _byte, ""),
        ("an object was freed twice", _ring, ""),
        ("the first object lies before this slab", _before, ""),
        ("the first object lies behind this slab", _behind, ""),
        ("a plain address was written over a kept pointer", _plain, "spoilt"),
        ("one byte of a kept pointer was changed", _byte, "spoilt"),
        ("the first object is none of this slab", _first, "spoilt"),
        ("all objects are free", _all_free, "whole lists"),
        ("an object was freed twice", _ring, "spoilt"),
    ]
    cases = [_case(rng, *entry) for entry in told]
    slabs = [case["script"][0][2][0] for case in cases if case["visible"]]
    return {"shown": "\n".join(map(_shown, slabs, [1, 2, 3, 4, 5])), "cases": cases}


def _shown(slab, number):
    numbers = [f"{key} {slab[key]}" for key in ("objects", "size", "offset")]
    addresses = [f"  {key} {slab[key]:#x}" for key in ("random", "start", "first")]
    words = [f"  {f'words[{i}]':9} {word:#018x}" for i, word in enumerate(slab["words"])]
    rows = [" ".join(words[i : i + 2]) for i in range(0, len(words), 2)]
    return "\n".join([f"slab of case {number}: {', '.join(numbers)}", *addresses, *rows])


_HINTS = {
    "spoilt": "What makes a pointer one of this slab's objects?",
    "whole lists": "What is kept in the last object of the list?",
}


def _case(rng, name, make, group):
    slab = make(rng)
    asked = [[slab["first"] + 8 * rng.randrange(64), _address(rng)], [0, _address(rng)]]
    return {
        "name": f"{name}; {slab['objects']} objects of {slab['size']} bytes",
        "script": [
            ["new", "Slab", [slab]],
            *(["do", "encode", pointers] for pointers in asked),
            ["do", "freelist", []],
        ],
        "every": True,
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }


def _address(rng):
    return PAGE_OFFSET + rng.randrange(1 << 34) * 8


def _whole(rng, nr=0, sizes=(192, 248, 256, 320, 384, 448)):
    """A slab of one page, of whose objects nr are free, or some; the others hold anything."""
    size = rng.choice(sizes)
    objects = PAGE_SIZE // size
    free = rng.sample(range(objects), nr or rng.randrange(5, objects - 1))
    slab = {
        "random": rng.getrandbits(64),
        "start": PAGE_OFFSET + (rng.randrange(1 << 22) << PAGE_SHIFT),
        "size": size,
        "objects": objects,
        "offset": size // 2 & ~7,
        "words": [rng.choice([0, 1, rng.getrandbits(64)]) for _ in range(objects)],
    }
    slab["first"] = slab["start"] + free[0] * size
    for index, following in zip(free, [*free[1:], None], strict=True):
        _keep(slab, index, 0 if following is None else slab["start"] + following * size)
    return slab


def _keep(slab, index, ptr):
    where = slab["start"] + index * slab["size"] + slab["offset"]
    slab["words"][index] = freelist_ptr_encode(slab["random"], ptr, where)


def _all_free(rng):
    slab = _whole(rng, 8)
    order = rng.sample(range(slab["objects"]), slab["objects"])
    slab["first"] = slab["start"] + order[0] * slab["size"]
    for index, following in zip(order, [*order[1:], None], strict=True):
        _keep(slab, index, 0 if following is None else slab["start"] + following * slab["size"])
    return slab


def _byte(rng):
    """The byte that is changed leads into the slab, but to no object."""
    slab = _whole(rng)
    order = RIGHT(slab).freelist()["objects"]
    at = rng.randrange(1, len(order) - 2)
    offset = order[at + 1] * slab["size"]
    wrong = [offset ^ change for change in range(8, 256, 8) if (offset ^ change) % slab["size"]]
    last = slab["size"] * slab["objects"]
    to = rng.choice([offset for offset in wrong if offset < last])
    _keep(slab, order[at], slab["start"] + to)
    return slab


def _plain(rng):
    """What is written is an address as it is: decoded, it is nonsense."""
    slab = _whole(rng)
    order = RIGHT(slab).freelist()["objects"]
    slab["words"][rng.choice(order[1:])] = 0xFFFFFFFF81000000 + 16 * rng.randrange(1 << 20)
    return slab


def _ring(rng):
    """The last object leads back to one before it."""
    slab = _whole(rng)
    order = RIGHT(slab).freelist()["objects"]
    _keep(slab, order[-1], slab["start"] + rng.choice(order[1:-1]) * slab["size"])
    return slab


def _before(rng):
    slab = _whole(rng, sizes=(384, 448))
    slab["first"] = slab["start"] - slab["size"]
    return slab


def _behind(rng):
    """Just behind the last object."""
    slab = _whole(rng, sizes=(384, 448))
    slab["first"] = slab["start"] + slab["size"] * slab["objects"]
    return slab


def _first(rng):
    return rng.choice([_before, _behind])(rng)
