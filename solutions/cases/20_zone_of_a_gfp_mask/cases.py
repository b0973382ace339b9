"""Masks in hexadecimal: the highest zone on x86-64, and on a PC with 32 bits."""

from memsim.words.arch import X86_32, X86_64
from memsim.words.gfp import gfp_zone

#: What stands above the four zone bits: GFP_KERNEL, GFP_NOWAIT, GFP_ATOMIC, GFP_USER, GFP_NOFS.
BASES = (0xCC0, 0x2800, 0x820, 0x100CC0, 0xC40, 0x400CC0)
#: __GFP_ZERO, __GFP_NOWARN, __GFP_COMP, __GFP_NORETRY, __GFP_THISNODE.
MORE = (0, 0x100, 0x2000, 0x40000, 0x50000, 0x200000)
ABOVE = sorted({base | more for base in BASES for more in MORE})
FORBIDDEN = (3, 5, 6, 7, 0xB, 0xD, 0xE, 0xF)


def RIGHT(given):
    return [[_name(mask, X86_64), _name(mask, X86_32)] for mask in given["masks"]]


def _name(mask, arch):
    zone = gfp_zone(mask, arch)
    return "none" if zone < 0 else arch.zone_names[zone]


def movable_alone(given):
    pairs = zip(given["masks"], RIGHT(given), strict=True)
    return [["Movable", "Movable"] if mask & 0xF == 8 else names for mask, names in pairs]


def highmem_always(given):
    pairs = zip(given["masks"], RIGHT(given), strict=True)
    return [["HighMem", "HighMem"] if mask & 0xF == 2 else names for mask, names in pairs]


def zone_number(given):
    return [[_numbered(mask & 0xF, arch) for arch in (X86_64, X86_32)] for mask in given["masks"]]


def _numbered(number, arch):
    return arch.zone_names[number] if number < len(arch.zone_names) else "none"


def none_without(given):
    return [_instead(mask, "none") for mask in given["masks"]]


def dma_without(given):
    return [_instead(mask, "DMA") for mask in given["masks"]]


def _instead(mask, name):
    """What is answered where 32 bits have no DMA32."""
    found = [_name(mask, arch) for arch in (X86_64, X86_32)]
    return [found[0], name] if found[0] == "DMA32" else found


def lowest_zone(given):
    """The lowest of DMA, DMA32 and HIGHMEM that is asked for, though they exclude each other."""
    bits = [next((bit for bit in (1, 4, 2) if mask & bit), 0) for mask in given["masks"]]
    masks = zip(given["masks"], bits, RIGHT(given), strict=True)
    return [
        [_name(bit, X86_64), _name(bit, X86_32)] if names[0] == "none" else names
        for mask, bit, names in masks
    ]


MISTAKES = {
    "movable_alone": movable_alone,
    "highmem_always": highmem_always,
    "zone_number": zone_number,
    "none_without": none_without,
    "dma_without": dma_without,
    "lowest_zone": lowest_zone,
}


def draw(rng):
    digits = [2, 8, rng.choice([4, 0xC]), rng.choice([5, 0xD])]
    rng.shuffle(digits)
    hidden = [0xA, *map(rng.choice, (FORBIDDEN, (1, 9), (4, 0xC), (0, 2, 8)))]
    rng.shuffle(hidden)
    masks = []
    for digit in digits + hidden:
        masks.append(rng.choice([mask for mask in ABOVE if mask | digit not in masks]) | digit)
    cases = [
        {"name": f"row {row + 1}, {mask:#x}", "pick": row, "visible": row < len(digits),
         "group": "masks", "hint": "Take the last digit apart: 8, 4, 2, 1."}
        for row, mask in enumerate(masks)
    ]  # fmt: skip
    shown = "\n".join(f"{n}. {mask:#x}" for n, mask in enumerate(masks, 1))
    return {"shown": shown, "given": {"masks": masks}, "cases": cases}
