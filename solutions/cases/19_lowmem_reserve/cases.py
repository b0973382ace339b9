"""Machines of one node or several, and ratios: what each zone keeps from whom.

What is right comes from memsim's own setup_per_zone_lowmem_reserve().
"""

from types import SimpleNamespace

from memsim.mm.page_alloc.setup import setup_per_zone_lowmem_reserve
from memsim.words.arch import X86_64

ZONES = X86_64.MAX_NR_ZONES
DEFAULT = list(X86_64.lowmem_reserve_ratio[: ZONES - 1])


def RIGHT(nodes, ratios):
    vm = SimpleNamespace(
        arch=X86_64,
        lowmem_reserve_ratio=ratios,
        nodes=[
            SimpleNamespace(node_zones=[_zone(i, n) for i, n in enumerate(node)]) for node in nodes
        ],
    )
    setup_per_zone_lowmem_reserve(vm)
    return [[zone.lowmem_reserve for zone in pgdat.node_zones] for pgdat in vm.nodes]


def _zone(idx, managed_pages):
    return SimpleNamespace(
        idx=idx,
        managed_pages=managed_pages,
        lowmem_reserve=[0] * ZONES,
        _watermark=[0] * 4,
        watermark_boost=0,
    )


def _mistaken(entry):
    """The same, with each entry of the array from entry(nodes, ratios, node, i, j)."""

    def lowmem_reserve(nodes, ratios):
        each = range(ZONES)
        return [
            [
                [
                    entry(nodes, ratios, node, i, j) if i < j and ratios[i] and node[i] else 0
                    for j in each
                ]
                for i in each
            ]
            for node in nodes
        ]

    return lowmem_reserve


def _ratio_above(nodes, ratios, node, i, j):
    ratio = ratios[min(i + 1, ZONES - 2)]
    return sum(node[i + 1 : j + 1]) // ratio if ratio else 0


def _ratio_0_is_1(nodes, ratios):
    return RIGHT(nodes, [ratio or 1 for ratio in ratios])


MISTAKES = {
    "own_pages": _mistaken(lambda _, ratios, node, i, j: sum(node[i : j + 1]) // ratios[i]),
    "one_zone": _mistaken(lambda _, ratios, node, i, j: node[j] // ratios[i]),
    "rounds_each": _mistaken(
        lambda _, ratios, node, i, j: sum(n // ratios[i] for n in node[i + 1 : j + 1])
    ),
    "ratio_above": _mistaken(_ratio_above),
    "all_nodes": _mistaken(
        lambda nodes, ratios, _, i, j: sum(sum(n[i + 1 : j + 1]) for n in nodes) // ratios[i]
    ),
    "ratio_0_is_1": _ratio_0_is_1,
}


def draw(rng):
    cases = [
        _case("a machine of one node", [_node(rng)], DEFAULT),
        _case("two nodes", [_node(rng), _upper(rng)], DEFAULT),
        _case("ratios of its own", [_node(rng)], _ratios(rng, 0)),
        _case("a ratio is 0", [_node(rng, movable=True)], _ratios(rng, 1)),
        _case("part of Normal is MOVABLE", [_node(rng, movable=True)], DEFAULT, "many zones"),
        _case("three nodes", [_node(rng), _node(rng, movable=True), _upper(rng)], DEFAULT, "nodes"),
        _case("DMA has no pages", [[0, *_node(rng)[1:]]], _ratios(rng, 0), "nothing kept"),
        _case("a ratio is 0", [_node(rng, movable=True)], _ratios(rng, 1), "nothing kept"),
    ]
    return {"cases": cases}


_HINTS = {
    "many zones": "What may a request use whose highest zone is MOVABLE?",
    "nodes": "Which zones count for a zone of node 1?",
    "nothing kept": "A zone without pages, or with the ratio 0, keeps nothing from anybody.",
}


def _case(name, nodes, ratios, group=""):
    return {
        "name": f"{name}, {nodes}, ratios {ratios}",
        "call": "lowmem_reserve",
        "args": [nodes, ratios],
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }


def _node(rng, movable=False):
    """Managed pages of DMA, DMA32, Normal, MOVABLE, DEVICE; odd, so that rounding counts."""
    pages = [
        rng.randrange(3840, 4000),
        rng.randrange(100_000, 800_000) | 255,
        rng.randrange(200_000, 8_000_000) | 255,
        rng.randrange(100_000, 4_000_000) | 255 if movable else 0,
        0,
    ]
    return pages


def _upper(rng):
    """A node whose memory lies above 4 GiB."""
    return [0, 0, rng.randrange(200_000, 8_000_000), 0, 0]


def _ratios(rng, zeros):
    """Of DMA, DMA32, Normal, MOVABLE."""
    ratios = [rng.choice([64, 128, 512]), rng.choice([96, 160, 384]), rng.choice([16, 48]), 0]
    if zeros:
        ratios[rng.choice([0, 1])] = 0
    return ratios
