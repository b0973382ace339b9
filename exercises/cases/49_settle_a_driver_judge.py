"""A machine short of memory lives through a driver's requests, asked as the student settled."""

from contextlib import suppress

from memsim.lab.compare import Judged
from memsim.lib.bits import get_order
from memsim.mm.page_alloc.alloc import alloc_pages
from memsim.mm.page_alloc.free import free_unref_page
from memsim.words.errors import PageAllocationFailure
from memsim.words.gfp import (
    __GFP_DIRECT_RECLAIM,
    __GFP_FS,
    __GFP_MEMALLOC,
    __GFP_NORETRY,
    __GFP_RETRY_MAYFAIL,
    GFP_ATOMIC,
    GFP_KERNEL,
    GFP_NOFS,
    GFP_NOWAIT,
)
from memsim.words.mmzone import MAX_PAGE_ORDER, NULL
from memsim.workload.programs import Programs

MASKS = {
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_KERNEL | __GFP_NORETRY": GFP_KERNEL | __GFP_NORETRY,
    "GFP_KERNEL | __GFP_RETRY_MAYFAIL": GFP_KERNEL | __GFP_RETRY_MAYFAIL,
    "GFP_NOFS": GFP_NOFS,
    "GFP_NOWAIT": GFP_NOWAIT,
    "GFP_ATOMIC": GFP_ATOMIC,
}
WAYS = ("block", "kvmalloc", "pages")
#: For each process that is killed, this part of the points is left.
FOR_A_KILL = 0.3
#: So it is if an interrupt of another device finds the reserve empty in the end.
FOR_LOST_PACKETS = 0.5
PACKETS = 8
#: This part of what the best plan gets is as good: the order of the others moves a few pages.
ENOUGH = 0.95


def survives(expected, got):
    """Points for what the driver has in the end; few of them if somebody was killed for it."""
    wants = expected["wants"]
    wrong = _not_a_plan(wants, got)
    if wrong:
        return Judged(0.0, wrong)
    machine = _machine_of(expected)
    had, notes = [0.0] * len(wants), []
    for index, mask, ways in got:
        had[index], note = _ask(machine, wants[index], mask, ways)
        notes += [f"{wants[index]['what']}: {note}"] if note else []
    kills = machine.killed
    score = sum(had) / len(had) * FOR_A_KILL ** len(kills)
    notes += [f"killed: {', '.join(kills)}"] if kills else []
    lives = _network_lives(machine)
    if not lives:
        score *= FOR_LOST_PACKETS
        notes.append("a network card finds no page in the reserve")
    told = "; ".join(notes) or "all served, and everybody lives"
    return Judged(score, told, "" if score == 1 else _mistake(wants, got, had, kills, lives))


def _not_a_plan(wants, got):
    """What is wrong with the form of an answer; "" if nothing is."""
    if not isinstance(got, list) or len(got) != len(wants):
        return f"should be a list of {len(wants)} entries, one for each request"
    for entry in got:
        if not isinstance(entry, list) or len(entry) != 3:
            return "each entry should be [index, mask, ways]"
        index, mask, ways = entry
        if type(index) is not int or not 0 <= index < len(wants):
            return f"an index should be 0 to {len(wants) - 1}"
        if not isinstance(mask, str) or mask not in MASKS:
            return f"a mask should be one of {', '.join(MASKS)}"
        known = isinstance(ways, list) and 1 <= len(ways) <= 3
        if not known or any(not isinstance(way, str) or way not in WAYS for way in ways):
            return f"ways should be a list of {', '.join(WAYS)}: one to three of them"
    if len({index for index, _, _ in got}) != len(got):
        return "each request should be there once"
    return ""


def _machine_of(given):
    """16 MiB, of which a database and an editor have a part; the kernel's pages lie scattered."""
    machine = Programs("16 MiB", slab=True, vmalloc=True)
    for comm, pages, adj in given["programs"]:
        machine.touch_first(machine.start(comm, "16 MiB", oom_score_adj=adj), pages)
    machine.drain_all_pages()
    vm, taken = machine.vm, []
    while (pfn := alloc_pages(vm, __GFP_MEMALLOC, 0, 0)) != NULL:
        taken.append(pfn)
    for pfn in _given_back(taken, given):
        free_unref_page(vm, pfn, 0)
    machine.drain_all_pages()
    vm.oom.current = machine.programs[0].task
    return machine


def _given_back(taken, given):
    """Single pages, and some blocks of 16."""
    pages = set(taken)
    whole = [at for at in sorted({pfn >> 4 for pfn in taken})
             if pages.issuperset(range(at << 4, at + 1 << 4))]  # fmt: skip
    blocks = {whole[number % len(whole)] for number in given["blocks"]}
    return [pfn for pfn in taken if pfn >> 4 in blocks or pfn % 8 in given["free"]]


def _network_lives(machine):
    """Do the packets of another device find their pages?"""
    return NULL not in [alloc_pages(machine.vm, GFP_ATOMIC, 0, 0) for _ in range(PACKETS)]


def _best_of(given, plan):
    """Pages that the plan's extras get."""
    machine, most = _machine_of(given), 0
    for index, mask, ways in plan:
        want = given["wants"][index]
        got = _by(machine, ways[0], want["pages"] << 12, MASKS[mask])
        most = got if want["least"] < want["pages"] else most
    return most


def _ask(machine, want, name, ways):
    """(0 to 1, a note): how much of a request the driver has."""
    mask, size = MASKS[name], want["pages"] << 12
    if want["interrupt"] and mask & __GFP_DIRECT_RECLAIM:
        return 0.0, f"{name} sleeps in an interrupt"
    if want["fs_lock"] and mask & __GFP_FS:
        return 0.0, f"{name} may enter the filesystem whose lock it holds"
    for way in ways:
        if way != "block" and want["device"]:
            return 0.0, f"the device writes past the first page of {way}"
        got = _by(machine, way, size, mask)
        if got >= want["least"]:
            return min(got / (ENOUGH * want["best"]), 1.0), ""
    return 0.0, "NULL"


def _by(machine, way, size, mask):
    """Pages had in this way; what is too little for the driver is not given back."""
    got = 0
    with suppress(PageAllocationFailure):
        if way == "block":
            order = get_order(size)
            if order > MAX_PAGE_ORDER:
                return 0
            return size >> 12 if alloc_pages(machine.vm, mask, order, 0) != NULL else 0
        if way == "kvmalloc":
            machine.kvmalloc(size, mask)
            return size >> 12
        while got < size >> 12 and alloc_pages(machine.vm, mask, 0, 0) != NULL:
            got += 1
    return got


def _mistake(wants, got, had, kills, lives):
    """What the plan has in it, if the machine has shown it."""
    plan = {index: (mask, ways) for index, mask, ways in got}
    optional = [index for index, want in enumerate(wants) if want["least"] < want["pages"]]
    lost = [index for index, part in enumerate(had) if part < 1]
    if not lives and any(plan[index][0] == "GFP_ATOMIC" for index in optional):
        return "empties_the_reserve"
    if kills and any(plan[index][0] == "GFP_KERNEL" for index in optional):
        return "kills_for_extras"
    if any(wants[index]["interrupt"] and MASKS[plan[index][0]] & __GFP_DIRECT_RECLAIM
           for index in lost):  # fmt: skip
        return "sleeps"
    if any(wants[index]["device"] and plan[index][1] != ["block"] for index in lost):
        return "kvmalloc_for_a_device"
    if any(plan[index][1] == ["block"] and not wants[index]["device"] and wants[index]["pages"] > 1
           for index in lost):  # fmt: skip
        return "blocks_for_all"
    greedy = min(at for at, (index, _, _) in enumerate(got) if index in optional)
    after = {index for index, _, _ in got[greedy:]} - set(optional)
    took = any(had[index] for index in optional)
    return "as_listed" if took and after and (kills or after & set(lost)) else ""
