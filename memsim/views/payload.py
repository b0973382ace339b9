"""What a player is given: one dict of plain data, made from a recording, complete in itself.

Steps are grouped into frames: a step, and the numbers that changed with it. The browser applies
a frame's steps forwards or backwards and asks nobody.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from memsim.mm.snapshot import Snapshot
from memsim.trace.steps import (
    FIELD,
    LIST_ADD,
    LIST_DEL,
    MERGE,
    PAGEBLOCK,
    PAGES,
    SPLIT,
    Field,
    ListAdd,
    ListDel,
    ListName,
    Merge,
    Pageblock,
    Pages,
    Split,
    Step,
)
from memsim.views.cells import Cells, PaneScene, back_to_start
from memsim.views.code import NOBODY, CodeBook, emitters_of
from memsim.views.narrate import field_label, narrate_all
from memsim.views.predict import questions
from memsim.views.scene import PCP_FIELDS, Scene, list_order
from memsim.views.slab_scene import SlabScene
from memsim.views.text import MAX_LINES, MAX_LIST, list_sort_key, pcp_list_label
from memsim.views.vmalloc_scene import VmallocScene
from memsim.views.zones import zone_gauges
from memsim.words.errors import BadRequest

Payload = dict[str, Any]

#: Panes beside the pages and the lists; these are shown where nobody chose.
PANES = ("code", "zones", "predict", "slab", "vmalloc")
DEFAULT_PANES = ("code",)

#: A step that changes nothing that the player shows.
OTHER = 7
#: The number that a sentence mentions; the player has all that change.
SPOKEN_FIELD = "pcp.count"


def checked_panes(panes: Sequence[str]) -> tuple[str, ...]:
    """Names of panes, each once. BadRequest for another."""
    names = (panes,) if isinstance(panes, str) else tuple(panes)
    for name in names:
        if name not in PANES:
            raise BadRequest(f"panes: {str(name)[:40]!r}: should be of {', '.join(PANES)}")
    return tuple(dict.fromkeys(names))


class Operation(Protocol):
    """What was asked for, and its steps [first_step, last_step)."""

    @property
    def name(self) -> str:
        """As a reader should see it."""

    @property
    def first_step(self) -> int:
        """Index of its first step in the recording."""

    @property
    def last_step(self) -> int:
        """Index behind its last step."""


class Recording(Protocol):
    """A snapshot, the steps that followed it, and the operations they belong to."""

    @property
    def snapshot(self) -> Snapshot:
        """The state before the first step."""

    @property
    def steps(self) -> Sequence[Step]:
        """All steps, oldest first."""

    @property
    def operations(self) -> Sequence[Operation]:
        """All operations, oldest first."""


class Frame(NamedTuple):
    """Steps [first, last) that a player shows as one; `main` is the one it is about."""

    first: int
    last: int
    main: int


def frames_of(steps: Sequence[Step], operations: Sequence[Operation]) -> list[Frame]:
    """Numbers go with the step before them; at the start of an operation with the one behind."""
    borders = {op.first_step for op in operations} | {op.last_step for op in operations}
    frames: list[Frame] = []
    first, main = 0, -1
    for index, step in enumerate(steps):
        is_main = not isinstance(step, Field)
        if index > first and (index in borders or (is_main and main >= 0)):
            frames.append(Frame(first, index, main if main >= 0 else first))
            first, main = index, -1
        main = index if is_main else main
    if steps:
        frames.append(Frame(first, len(steps), main if main >= 0 else first))
    return frames


def make_payload(
    recording: Recording, title: str = "", panes: Sequence[str] = DEFAULT_PANES
) -> Payload:
    """Everything the player needs, as JSON can hold it. Cost: O(pages + steps)."""
    snapshot, steps = recording.snapshot, list(recording.steps)
    scene = Scene(snapshot)
    frames = frames_of(steps, recording.operations)
    used = _used(scene, steps)
    lists = _lists(used)
    fields = _fields(scene, steps, lists)
    owners = _owners(lists)
    sentences = narrate_all(snapshot, steps)
    shown = _frames(steps, frames, lists, list(fields), sentences)
    payload = {
        "title": title,
        "start": scene.start,
        "end": scene.end,
        "states": _runs(bytes(scene.states)),
        "lists": [{**_list_entry(scene, name, owners), "idle": name not in used} for name in lists],
        "cpus": [_cpu_entry(scene, name, list(fields)) for name in owners.values()],
        "fields": [[label, value] for label, value in fields.values()],
        "frames": shown,
        "operations": _operations(recording.operations, frames),
        "max_lines": MAX_LINES,
        "max_list": MAX_LIST,
        "panes": list(panes),
    }
    if "code" in panes:
        payload["code"] = _code(recording, frames, shown)
    if "zones" in panes:
        payload["zones"] = zone_gauges(snapshot, scene, list(fields).index)
    payload["cells"] = _cells(recording, panes, payload)
    if "predict" in panes:
        payload["questions"] = questions(scene, recording.operations, steps, sentences)
    return payload


def _cells(recording: Recording, panes: Sequence[str], payload: Payload) -> list[Any]:
    """The first values of the cells of panes that have a scene; frames are told their changes."""
    cells, steps = Cells(), list(recording.steps)
    scenes = scenes_of(recording, panes)
    for scene in scenes.values():
        back_to_start(scene, steps)
        cells.begin(scene.cells())
    for frame, entry in zip(frames_of(steps, recording.operations), payload["frames"], strict=True):
        for name, scene in scenes.items():
            for step in steps[frame.first : frame.last]:
                scene.apply(step)
            entry[2] += cells.change(name, scene.cells())
    for name, scene in scenes.items():
        payload[name] = scene.layout(cells)
    return cells.first


def scenes_of(
    recording: Recording, panes: Sequence[str], address: str = ""
) -> dict[str, PaneScene]:
    """The scenes of the chosen panes that have one, behind the recording's last step."""
    made: dict[str, PaneScene] = {}
    if "slab" in panes:
        made["slab"] = SlabScene(getattr(recording, "caches", ()))
    if "vmalloc" in panes:
        data = getattr(recording, "vmalloc", {})
        made["vmalloc"] = VmallocScene(recording.snapshot, data, address, recording.steps)
    return made


def _code(recording: Recording, frames: list[Frame], shown: list[list[Any]]) -> Payload:
    """The functions that emitted steps; each shown frame is told which of them it is from."""
    book, emitters = CodeBook(), emitters_of(recording)
    for frame, entry in zip(frames, shown, strict=True):
        known = frame.main < len(emitters)
        entry.append(book.place(emitters[frame.main], entry[0]) if known else NOBODY)
    return book.as_data()


def _runs(states: bytes) -> list[list[int]]:
    """[offset, pages, state] of each run of pages in one state that is not 0."""
    runs, at = [], 0
    while at < len(states):
        end = at + 1
        while end < len(states) and states[end] == states[at]:
            end += 1
        if states[at]:
            runs.append([at, end - at, states[at]])
        at = end
    return runs


def _used(scene: Scene, steps: Sequence[Step]) -> set[ListName]:
    """Lists that ever hold a block."""
    used = {name for name, pages in scene.lists.items() if pages}
    return used | {step.list for step in steps if isinstance(step, ListAdd | ListDel)}


def _lists(used: set[ListName]) -> list[ListName]:
    """Those, and of free lists of a type every order up to the largest used."""
    ladder = {
        name._replace(x=order)
        for name in used
        if name.where == "free_area"
        for order in range(name.x)
    }
    return sorted(used | ladder, key=list_sort_key)


Owner = tuple[int, int]
FieldKey = tuple[int, int, str]


def _owners(lists: list[ListName]) -> dict[Owner, ListName]:
    """One pcp list of each CPU in each zone that has any, by zone_id and CPU."""
    return {(name.zone_id, name.x): name for name in lists if name.where == "pcp"}


def _list_entry(scene: Scene, name: ListName, owners: dict[Owner, ListName]) -> Payload:
    is_pcp = name.where == "pcp"
    return {
        "label": scene.names.list(name),
        "short": pcp_list_label(scene, name) if is_pcp else scene.names.list(name),
        "pcp": is_pcp,
        "cpu": name.x if is_pcp else -1,
        "owner": list(owners).index((name.zone_id, name.x)) if is_pcp else -1,
        "order": list_order(name),
        "type": scene.names.migratetype(name),
        "pages": list(scene.lists[name]),
    }


def _cpu_entry(scene: Scene, name: ListName, fields: list[FieldKey]) -> Payload:
    """A CPU in a zone: how it is called, and which numbers are its count, high and batch."""
    keys = [(name.zone_id, name.x, f"pcp.{field}") for field in PCP_FIELDS]
    return {"label": scene.names.cpu(name), "fields": [fields.index(key) for key in keys]}


def _fields(
    scene: Scene, steps: Sequence[Step], lists: list[ListName]
) -> dict[FieldKey, tuple[str, int]]:
    """Numbers that change, with their label and first value; those of zones and owners always."""
    fields: dict[FieldKey, tuple[str, int]] = {}
    owners = _owners(lists)
    for (zone_id, cpu, field), value in scene.fields.items():
        if cpu >= 0 and (zone_id, cpu) not in owners:
            continue
        label = field_label(Field(0, zone_id, cpu, field, 0, 0), scene.names)
        fields[zone_id, cpu, field] = label, value
    for step in steps:
        if isinstance(step, Field):
            key = step.zone_id, step.cpu, step.field
            fields.setdefault(key, (field_label(step, scene.names), step.old))
    return fields


def _frames(
    steps: list[Step],
    frames: list[Frame],
    lists: list[ListName],
    fields: list[FieldKey],
    sentences: list[str],
) -> list[list[Any]]:
    """[sentence, marks, steps] of each frame."""
    list_index = {name: index for index, name in enumerate(lists)}
    field_index = {key: index for index, key in enumerate(fields)}
    return [
        [
            _sentence(steps, frame, sentences),
            _marks(steps[frame.main]),
            [_encode(step, list_index, field_index) for step in steps[frame.first : frame.last]],
        ]
        for frame in frames
    ]


def _sentence(steps: list[Step], frame: Frame, sentences: list[str]) -> str:
    """The main step's sentence, and what became of pcp->count."""
    words = [sentences[frame.main]]
    for step in steps[frame.first : frame.last]:
        if isinstance(step, Field) and step.field == SPOKEN_FIELD and step is not steps[frame.main]:
            words.append(f"{step.field} {step.old} becomes {step.new}")
    return "; ".join(words)


def _marks(step: Step) -> list[list[Any]]:
    """[pfn, pages, role] of what the reader should look at: moved, split, merged or buddy."""
    match step:
        case ListAdd() | ListDel():
            return [[step.pfn, 1 << list_order(step.list), "moved"]]
        case Pages():
            order = (step.old | step.new) & 0x0F
            return [[step.pfn, max(step.nr_pages, 1 << order), "moved"]]
        case Split(_, pfn, order):
            return [[pfn, 1 << order, "split"]]
        case Merge(_, pfn, buddy_pfn, order):
            return [[pfn, 1 << order, "merged"], [buddy_pfn, 1 << order, "buddy"]]
    return []


def _encode(step: Step, lists: dict[ListName, int], fields: dict[FieldKey, int]) -> list[int]:
    """A step as integers: its kind, then what player.js needs to apply or undo it."""
    match step:
        case ListAdd(_, name, pfn, after, old, new):
            return [LIST_ADD, lists[name], pfn, after, old, new]
        case ListDel(_, name, pfn, after, old, new):
            return [LIST_DEL, lists[name], pfn, after, old, new]
        case Pages(_, pfn, nr_pages, old, new):
            return [PAGES, pfn, nr_pages, old, new]
        case Pageblock(_, pfn, old, new):
            return [PAGEBLOCK, pfn, old, new]
        case Field(_, zone_id, cpu, field, old, new):
            return [FIELD, fields[zone_id, cpu, field], old, new]
        case Split(_, pfn, order):
            return [SPLIT, pfn, order]
        case Merge(_, pfn, buddy_pfn, order):
            return [MERGE, pfn, buddy_pfn, order]
        case _:
            return [OTHER]


def _operations(operations: Sequence[Operation], frames: list[Frame]) -> list[list[Any]]:
    """[name, first frame, frame behind the last] of each operation."""
    starts = [frame.first for frame in frames]
    return [
        [
            op.name,
            bisect_left(starts, op.first_step),
            bisect_left(starts, op.last_step),
        ]
        for op in operations
    ]
