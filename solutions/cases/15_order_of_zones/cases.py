"""Requests on machines with four nodes: the zones they try, in the model's order."""

import itertools
from functools import cache

from memsim import GFP_DMA, GFP_DMA32, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Machine
from memsim.mm.page_alloc.zone_walk import node_zonelist
from memsim.mm.page_alloc.zonelist import build_all_zonelists
from memsim.words.arch import X86_64
from memsim.words.gfp import __GFP_THISNODE, gfp_zone

#: RAM of each node, and how much of it is set aside as Movable.
LAYOUTS = (
    (("4 GiB",) * 4, "2 GiB"), (("2 GiB",) * 4, "1 GiB"), (("6 GiB",) * 4, "4 GiB"),
    (("1 GiB", "4 GiB", "4 GiB", "4 GiB"), "1 GiB"), (("3 GiB",) * 4, "0"),
)  # fmt: skip
MASKS = {
    "GFP_KERNEL": GFP_KERNEL,
    "GFP_HIGHUSER_MOVABLE": GFP_HIGHUSER_MOVABLE,
    "GFP_DMA32": GFP_DMA32,
    "GFP_DMA": GFP_DMA,
    "GFP_KERNEL|__GFP_THISNODE": GFP_KERNEL | __GFP_THISNODE,
}
#: Three pairs of pairs: no two of a node's neighbours are equally far.
PAIRS = (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2)))


def by_zone(given):
    order = {name: -n for n, name in enumerate(X86_64.zone_names)}
    return [
        sorted(_walk(given, *request), key=lambda zone: order[zone.split()[1]])
        for request in given["requests"]
    ]


def by_number(given):
    distance = [[10 if a == b else 20 + b for b in range(4)] for a in range(4)]
    return [_walk(given | {"distance": distance}, *request) for request in given["requests"]]


def only_highest(given):
    return [
        [zone for zone in _walk(given, *request) if zone.split()[1] == _highest(request[0])]
        for request in given["requests"]
    ]


def zones_not_there(given):
    full = given | {"zones": [["DMA", "DMA32", "Normal", "Movable"]] * 4}
    return [_walk(full, *request) for request in given["requests"]]


MISTAKES = {
    "by_zone": by_zone,
    "by_number": by_number,
    "only_highest": only_highest,
    "zones_not_there": zones_not_there,
}


def _highest(words):
    return X86_64.zone_names[gfp_zone(MASKS[words])]


def _walk(given, words, node):
    highest = X86_64.zone_names.index(_highest(words))
    distance = given["distance"][node]
    nodes = [node] if "THISNODE" in words else sorted(range(4), key=distance.__getitem__)
    return [
        f"{other} {zone}"
        for other in nodes
        for zone in reversed(given["zones"][other])
        if X86_64.zone_names.index(zone) <= highest
    ]


@cache
def _machine(ram, movablecore):
    return Machine(list(ram), movablecore=movablecore, steps=False)


def draw(rng):
    vm = _machine(*rng.choice(LAYOUTS)).vm
    vm.node_distance = _distances(rng)
    build_all_zonelists(vm)
    zones = [[z.name for z in pgdat.node_zones if z.present_pages] for pgdat in vm.nodes]
    requests = _requests(rng)
    cases = [
        {"name": f"row {row + 1}, {words} on node {node}", "pick": row, "visible": row < 3,
         "expected": _tried(vm, MASKS[words], node),
         "group": "requests", "hint": "Node by node, the nearest first; in each from high to low."}
        for row, (words, node) in enumerate(requests)
    ]  # fmt: skip
    given = {"zones": zones, "distance": vm.node_distance, "requests": requests}
    return {"shown": _text(**given), "given": given, "cases": cases}


def _tried(vm, gfp_mask, node):
    zones = node_zonelist(vm, node, gfp_mask, gfp_zone(gfp_mask))
    return [f"{zone.node} {zone.name}" for zone in zones]


def _distances(rng):
    """Not such that the nodes' numbers are their order from everywhere."""
    while True:
        distance = [[10] * 4 for _ in range(4)]
        for pairs, far in zip(PAIRS, rng.sample(range(12, 60, 3), 3), strict=True):
            for a, b in pairs:
                distance[a][b] = distance[b][a] = far
        if distance[0] != sorted(distance[0]) and distance[1] != sorted(distance[1]):
            return distance


def _requests(rng):
    """The first three, which are visible, have three masks."""
    rest = list(itertools.product(["GFP_KERNEL", "GFP_HIGHUSER_MOVABLE"], range(4)))
    rest.remove(("GFP_KERNEL", 0))
    movable = ("GFP_HIGHUSER_MOVABLE", rng.randrange(1, 4))
    low = [("GFP_DMA32", rng.randrange(1, 4)), ("GFP_DMA", rng.randrange(4))]
    near = ("GFP_KERNEL|__GFP_THISNODE", rng.randrange(4))
    chosen = [("GFP_KERNEL", 0), movable, low[0], near, low[1]]
    rest.remove(chosen[1])
    return [list(request) for request in chosen + rng.sample(rest, 3)]


def _text(zones, distance, requests):
    lines = [f"node {node}: zones {', '.join(names)}" for node, names in enumerate(zones)]
    lines += ["", "node distances:", "node " + "".join(f"{node:5}" for node in range(4))]
    lines += [f"{n:3}: " + "".join(f"{far:5}" for far in row) for n, row in enumerate(distance)]
    lines += ["", *(f"{n}. {words} on node {node}" for n, (words, node) in enumerate(requests, 1))]
    return "\n".join(lines)
