"""Page tables as they lie in memory, and accesses: where they lead, or the fault they cause.

What is right comes from memsim's own walk() and its constants.
"""

from types import SimpleNamespace

from memsim.mm.pgtable import (
    _PAGE_ACCESSED,
    _PAGE_DIRTY,
    _PAGE_NX,
    _PAGE_PRESENT,
    _PAGE_PSE,
    _PAGE_RW,
    LEVEL_NAMES,
    PGD,
    PMD,
    PTE,
    PUD,
    PageTables,
    Table,
    entry_pfn,
    is_leaf,
    walk,
)
from memsim.words.vmalloc import LAYOUT_64

_PAGE_USER = 1 << 2
_PROT, _WRITE, _USER, _INSTR = 1, 2, 4, 16
ABOVE = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY
DATA = ABOVE | _PAGE_NX
TEXT = ABOVE & ~_PAGE_RW
KERNEL = DATA & ~_PAGE_USER


class RIGHT:
    """The model's tables, filled from memory."""

    def __init__(self, cr3, memory):
        self.memory = {int(address, 16): value for address, value in memory.items()}
        self.mm = PageTables(LAYOUT_64)
        self.mm.pgd = self._table(cr3 >> 12, PGD)
        self.vm = SimpleNamespace(vmalloc=SimpleNamespace(init_mm=self.mm))

    def _table(self, pfn, level):
        table = self.mm.tables[pfn] = Table(pfn, level)
        for address, value in self.memory.items():
            if address >> 12 == pfn:
                table.entries[(address & 0xFFF) // 8] = value
                if level > PTE and value & _PAGE_PRESENT and not is_leaf(value):
                    self._table(entry_pfn(value), level - 1)
        return table

    def is_present(self, value):
        return value & _PAGE_PRESENT != 0

    def denies(self, entries, access, user):
        if user and not all(entry.value & _PAGE_USER for entry in entries):
            return True
        if access == "write":
            return not all(entry.value & _PAGE_RW for entry in entries)
        return access == "execute" and any(entry.value & _PAGE_NX for entry in entries)

    def first_end(self, entries, access, user):
        """How many entries are looked at before anything is decided."""
        return len(entries)

    def offset_bits(self, level):
        return self.mm.shift_of(level)

    def page(self, entry):
        return entry_pfn(entry.value) << 12

    def translate(self, address, access, user):
        entries = walk(self.vm, address)
        entries = entries[: self.first_end(entries, access, user)]
        last = entries[-1]
        code = _WRITE * (access == "write") + _USER * user + _INSTR * (access == "execute")
        if not self.is_present(last.value):
            return {"level": LEVEL_NAMES[last.level], "error_code": code}
        if self.denies(entries, access, user):
            return {"level": LEVEL_NAMES[last.level], "error_code": code | _PROT}
        offset = address & (1 << self.offset_bits(last.level)) - 1
        return {"physical": hex(self.page(last) | offset)}


class LastEntryOnly(RIGHT):
    def denies(self, entries, access, user):
        return super().denies(entries[-1:], access, user)


class TooEarly(RIGHT):
    def first_end(self, entries, access, user):
        for nr in range(1, len(entries)):
            if self.denies(entries[:nr], access, user):
                return nr
        return len(entries)


class SmallOffset(RIGHT):
    def offset_bits(self, level):
        return 12


class NotEmpty(RIGHT):
    def is_present(self, value):
        return value != 0


class FlagsInAddress(RIGHT):
    def page(self, entry):
        return entry.value & ~0xFFF


MISTAKES = {
    "last_entry_only": LastEntryOnly,
    "too_early": TooEarly,
    "small_offset": SmallOffset,
    "not_empty": NotEmpty,
    "flags_in_address": FlagsInAddress,
}


class Space:
    """Tables that are made as they are needed, at any pfns."""

    def __init__(self, rng):
        self.rng, self.memory, self.tables, self.last_pfn = rng, {}, {}, 0x1000
        self.cr3 = self.tables[()] = self.new_page()

    def new_page(self):
        self.last_pfn += self.rng.randrange(1, 0x8000)
        return self.last_pfn << 12

    def entry_at(self, address, level):
        """Where the entry of that level lies; what is missing above it is made."""
        path = tuple(address >> 12 + 9 * above & 511 for above in range(PGD, level, -1))
        for depth in range(len(path)):
            if path[: depth + 1] not in self.tables:
                table = self.tables[path[: depth + 1]] = self.new_page()
                index = path[depth]
                self.memory[f"{self.tables[path[:depth]] + 8 * index:#x}"] = table | ABOVE
        return f"{self.tables[path] + 8 * (address >> 12 + 9 * level & 511):#x}"

    def map(self, address, flags, level=PTE):
        large = _PAGE_PSE if level > PTE else 0
        page = self.new_page() << 9 * level & (1 << 46) - 1
        self.memory[self.entry_at(address, level)] = page | flags | large

    def forbid(self, address, level, clear=0, add=0):
        where = self.entry_at(address, level)
        self.memory[where] = self.memory[where] & ~clear | add


def draw(rng):
    told = [
        ("pages of 4 KiB", _small, ""),
        ("a page of 2 MiB", _huge, ""),
        ("who may do what", _rights, ""),
        ("a page of 1 GiB", _gigantic, ""),
        ("nothing there", _empty, "faults"),
        ("who may do what", _rights, "faults"),
        ("larger pages", _huge, "larger pages"),
        ("a page of 1 GiB", _gigantic, "larger pages"),
    ]
    cases = [_case(rng, *entry) for entry in told]
    visible = [case["script"] for case in cases if case["visible"]]
    return {"shown": "\n".join(map(_shown, visible, [1, 2, 3, 4])), "cases": cases}


def _shown(script, number):
    """What is in memory, and the accesses, in hexadecimal."""
    cr3, memory = script[0][2]
    entries = [f"  {address}: {value:#018x}" for address, value in memory.items()]
    calls = [f"  translate({a:#x}, {access!r}, {user})" for _, _, (a, access, user) in script[1:]]
    return "\n".join([f"case {number}: cr3 {cr3:#x}, in memory", *entries, *calls])


_HINTS = {
    "faults": "Is every entry present? If so, does any of them forbid it?",
    "larger pages": "At which level does the walk end, and how many bits are left?",
}


def _case(rng, name, make, group):
    space = Space(rng)
    asked = make(rng, space, rng.randrange(1 << 8) << 39)
    rng.shuffle(asked)
    return {
        "name": name,
        "script": [
            ["new", "PageTables", [space.cr3, space.memory]],
            *(["do", "translate", list(access)] for access in asked),
        ],
        "every": True,
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }


def _page(rng, base, level=PTE):
    """An address below base, aligned to a page of that level, and in it not the first bytes."""
    size = 12 + 9 * level
    return base | rng.randrange(1 << 39 - size) << size


def _inside(rng, address, level=PTE):
    return address + rng.randrange(1 << 12 + 9 * level)


def _small(rng, space, base):
    data, text, swapped = (_page(rng, base) for _ in range(3))
    space.map(data, DATA)
    space.map(text, TEXT)
    space.memory[space.entry_at(swapped, PTE)] = rng.randrange(1 << 40) << 14
    return [
        (_inside(rng, data), "write", True),
        (_inside(rng, text), "execute", True),
        (_inside(rng, text), "write", True),
        (_inside(rng, data), "execute", rng.random() < 0.5),
        (_inside(rng, swapped), rng.choice(["read", "write"]), True),
    ]


def _huge(rng, space, base):
    huge, small = _page(rng, base, PMD), _page(rng, base)
    space.map(huge, DATA, PMD)
    space.map(small, DATA)
    return [
        (_inside(rng, huge, PMD), "read", True),
        (_inside(rng, huge, PMD), "write", rng.random() < 0.5),
        (_inside(rng, huge, PMD), "execute", True),
        (_inside(rng, small), "read", True),
    ]


def _gigantic(rng, space, base):
    gigantic, huge = _page(rng, base, PUD), _page(rng, base ^ 1 << 39, PMD)
    space.map(gigantic, DATA, PUD)
    space.map(huge, TEXT, PMD)
    return [
        (_inside(rng, gigantic, PUD), "read", True),
        (_inside(rng, gigantic, PUD), "execute", True),
        (_inside(rng, huge, PMD), "execute", False),
        (_inside(rng, huge, PMD), "write", False),
    ]


def _rights(rng, space, base):
    """What an entry above forbids: writing, executing, or users; of pages that are there or not."""
    page, other, kernel, inner = (_page(rng, base ^ at) for at in (0, 1 << 39, 1 << 40, 1 << 41))
    space.map(page, ABOVE)
    space.map(other, ABOVE)
    space.map(kernel, KERNEL)
    space.map(inner, DATA)
    space.forbid(page, rng.choice([PMD, PUD]), clear=_PAGE_RW)
    space.forbid(other, rng.choice([PGD, PUD]), add=_PAGE_NX)
    space.forbid(inner, rng.choice([PGD, PUD, PMD]), clear=_PAGE_USER)
    return [
        (_inside(rng, page), "write", True),
        (_inside(rng, page ^ 1 << 12), "write", True),
        (_inside(rng, page), "execute", True),
        (_inside(rng, other), "execute", True),
        (_inside(rng, other), "write", True),
        (_inside(rng, page), "write", False),
        (_inside(rng, other), "execute", False),
        (_inside(rng, kernel), rng.choice(["read", "write"]), True),
        (_inside(rng, kernel), rng.choice(["read", "write"]), False),
        (_inside(rng, inner), "read", True),
    ]


def _empty(rng, space, base):
    """An access for each level at which nothing is, and one that is right."""
    page = _page(rng, base)
    space.map(page, DATA)
    levels = [(page ^ 1 << 12 + 9 * level) for level in (PTE, PMD, PUD, PGD)]
    accesses = ["read", "write", "execute"]
    return [
        (_inside(rng, page), "read", True),
        *((_inside(rng, at), rng.choice(accesses), rng.random() < 0.5) for at in levels),
    ]
