"""One sentence for each step, in the kernel's words.

A step says what changed. Which function changed it follows from its neighbours: a block that
joins a list right after a split is the upper half that expand() gives back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memsim.mm.mmzone import PG_BUDDY, PG_INUSE, PG_LRU, PG_ORDER
from memsim.mm.snapshot import Snapshot
from memsim.trace.compaction_steps import CompactionStep
from memsim.trace.folio_steps import FolioStep
from memsim.trace.memcg_steps import MemcgStep
from memsim.trace.mempolicy_steps import MempolicyStep
from memsim.trace.mempool_steps import MempoolStep
from memsim.trace.slowpath_steps import NodeField, SlowPath
from memsim.trace.steps import Field, ListAdd, ListDel, Merge, Pageblock, Pages, Split, Step
from memsim.trace.vmalloc_steps import VmallocStep
from memsim.views.narrate_compaction import narrate_compaction
from memsim.views.narrate_folio import narrate_folio
from memsim.views.narrate_memcg import narrate_memcg
from memsim.views.narrate_slab import narrate_slab
from memsim.views.narrate_vmalloc import narrate_vmalloc
from memsim.views.scene import Names, Scene, list_order
from memsim.words.mmzone import MAX_PAGE_ORDER

_NO_NEIGHBOURS = (Field, NodeField, SlowPath)


class Context(NamedTuple):
    """What stands around a step. Numbers that change, and decisions, are no neighbours."""

    previous: Step | None = None
    following: Step | None = None
    #: The block that was taken off a free list last and is not allocated yet; -1 for none.
    taken: int = -1
    #: Was the list empty before a ListAdd?
    is_empty: bool = False
    #: The free buddy of the block that this one would merge into; -1 for none.
    higher_buddy: int = -1


NO_CONTEXT = Context()


def narrate(step: Step, names: Names, context: Context = NO_CONTEXT) -> str:
    """What a step did, as one sentence without a full stop."""
    match step:
        case ListAdd():
            return _list_add(step, names, context)
        case ListDel():
            return _list_del(step, names, context)
        case Pages():
            return _pages(step)
        case Pageblock():
            old, new = names.types[step.old], names.types[step.new]
            return (
                f"set_pageblock_migratetype(): the pageblock at pfn {step.pfn} "
                f"was {old} and is {new} now"
            )
        case Field():
            return f"{field_label(step, names)}: {step.old} becomes {step.new}"
        case Split():
            half = step.pfn + (1 << step.order - 1)
            return (
                f"expand(): the block at pfn {step.pfn}, order {step.order}, is split into "
                f"pfn {step.pfn} and pfn {half}, order {step.order - 1}"
            )
        case Merge():
            return (
                f"__free_one_page(): pfn {step.pfn} and its buddy, pfn {step.buddy_pfn}, order "
                f"{step.order}, merge into pfn {step.pfn & step.buddy_pfn}, order {step.order + 1}"
            )
        case SlowPath():
            return step.text(names.zone)
        case NodeField():
            return f"{step.field} of node {step.nid}: {step.old} becomes {step.new}"
        case _ if isinstance(step, VmallocStep):
            return narrate_vmalloc(step)
        case _ if isinstance(step, CompactionStep):
            return narrate_compaction(step)
        case _ if isinstance(step, MemcgStep):
            return narrate_memcg(step)
        case _ if isinstance(step, MempolicyStep | MempoolStep):
            return step.text()
        case _ if isinstance(step, FolioStep):
            return narrate_folio(step)
        case _:
            return narrate_slab(step)


def field_label(step: Field, names: Names) -> str:
    """The number that a Field step changed: "NR_FREE_PAGES of zone Normal"."""
    cpu = f" of CPU {step.cpu}" if step.cpu >= 0 else ""
    return f"{step.field}{cpu} of {names.zone(step.zone_id)}"


def _block(step: ListAdd | ListDel) -> str:
    return f"pfn {step.pfn}, order {list_order(step.list)}"


def _list_add(step: ListAdd, names: Names, context: Context) -> str:
    if step.list.where == "pcp":
        return _pcp_add(step, names, context)
    previous, lists = context.previous, names.list(step.list)
    if isinstance(previous, Split):
        return f"expand(): the upper half, {_block(step)}, goes to the head of {lists}"
    if isinstance(previous, ListDel) and previous.pfn == step.pfn and _same_order(previous, step):
        return f"move_to_free_list(): {_block(step)}, goes to the tail of {lists}"
    words = f"__free_one_page(): {_block(step)}, goes to"
    if context.is_empty:
        return f"{words} {lists}, which was empty"
    if step.after < 0:
        return f"{words} the head of {lists}"
    return f"{words} the tail of {lists}{_why_tail(step, context)}"


def _why_tail(step: ListAdd, context: Context) -> str:
    if context.higher_buddy < 0:
        return ""
    order = list_order(step.list) + 1
    return f", because buddy_merge_likely() found pfn {context.higher_buddy}, order {order}, free"


def _same_order(one: ListAdd | ListDel, other: ListAdd | ListDel) -> bool:
    return one.list.where == other.list.where and list_order(one.list) == list_order(other.list)


def _pcp_add(step: ListAdd, names: Names, context: Context) -> str:
    if context.taken == step.pfn:
        return f"rmqueue_bulk(): {_block(step)}, goes to the tail of the {names.list(step.list)}"
    return (
        f"free_unref_page_commit(): {_block(step)}, goes to the head of the {names.list(step.list)}"
    )


def _list_del(step: ListDel, names: Names, context: Context) -> str:
    following, name = context.following, names.list(step.list)
    if step.list.where == "pcp":
        if following is None or (isinstance(following, Pages) and following.new & PG_INUSE):
            return f"__rmqueue_pcplist(): {_block(step)}, is taken from the {name}"
        return f"free_pcppages_bulk(): {_block(step)}, leaves the {name} for the free lists"
    if isinstance(following, Merge) and following.buddy_pfn == step.pfn:
        return f"__free_one_page(): the buddy, {_block(step)}, is free: it leaves {name}"
    if isinstance(following, ListAdd) and following.list.where == "free_area":
        if following.pfn == step.pfn and _same_order(step, following):
            return f"move_to_free_list(): {_block(step)}, leaves {name}"
    if context.following is not None:
        return f"page_del_and_expand(): {_block(step)}, is taken from {name}"
    return f"{_block(step)}, leaves {name}"


def _pages(step: Pages) -> str:
    block = f"pfn {step.pfn}, order {(step.old | step.new) & PG_ORDER}"
    if step.nr_pages > 1:
        block = f"pfn {step.pfn} to {step.pfn + step.nr_pages - 1}"
    was, now = step.old & ~PG_ORDER, step.new & ~PG_ORDER
    if not was & PG_INUSE and now & PG_INUSE:
        return f"prep_new_page(): {block}, is allocated"
    if was & PG_INUSE and not now & PG_INUSE:
        return f"free_pages_prepare(): {block}, is no longer allocated"
    if (was ^ now) == PG_LRU:
        return f"{block}: {'now' if now & PG_LRU else 'no longer'} on an LRU list"
    return f"{block}: state {step.old:#x} becomes {step.new:#x}"


def narrate_all(snapshot: Snapshot, steps: Sequence[Step]) -> list[str]:
    """A sentence for each step of a recording that starts from this snapshot."""
    scene = Scene(snapshot)
    names = scene.names
    following = _following(steps)
    previous: Step | None = None
    taken = -1
    sentences = []
    for step, after in zip(steps, following, strict=True):
        context = Context(previous, after, taken, _is_empty(scene, step), _higher(scene, step))
        sentences.append(narrate(step, names, context))
        scene.apply(step)
        if not isinstance(step, _NO_NEIGHBOURS):
            previous = step
            taken = _taken(step, taken)
    return sentences


def _following(steps: Sequence[Step]) -> list[Step | None]:
    """For each step the next one that is more than a number."""
    result: list[Step | None] = []
    following: Step | None = None
    for step in reversed(steps):
        result.append(following)
        following = following if isinstance(step, _NO_NEIGHBOURS) else step
    return result[::-1]


def _taken(step: Step, taken: int) -> int:
    if isinstance(step, ListDel):
        return step.pfn if step.list.where == "free_area" else -1
    return -1 if isinstance(step, Pages) else taken


def _is_empty(scene: Scene, step: Step) -> bool:
    return isinstance(step, ListAdd) and not scene.lists[step.list]


def _higher(scene: Scene, step: Step) -> int:
    """The buddy of the block that the block of a ListAdd would merge into, if it is free."""
    if not isinstance(step, ListAdd) or step.list.where != "free_area":
        return -1
    order = list_order(step.list) + 1
    pfn = (step.pfn & -(1 << order)) ^ (1 << order)
    if order >= MAX_PAGE_ORDER or not scene.start <= pfn < scene.end:
        return -1
    return pfn if scene.states[pfn - scene.start] == (PG_BUDDY | order) else -1
