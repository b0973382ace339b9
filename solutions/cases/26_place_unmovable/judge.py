"""How much harm a placement of unmovable blocks does, against the least that is possible."""

from memsim.lab.compare import Judged


def harm_done(expected, got):
    """1 for the least harm; less for more of it, 0 for twice as much or for no placement at all."""
    blocks, order = expected["pageblocks"], expected["order"]
    wrong, mistake = _wrong(expected, got)
    if wrong:
        return Judged(0.0, wrong, mistake)
    harms = [_harm(block) for block, n in zip(blocks, got, strict=True) if n]
    harm, least = sum(harms), expected["least"]
    unused = [b for b, n in zip(blocks, got, strict=True) if b["unmovable"] and n < _room(b, order)]
    told = f"harm {harm}; the least possible is {least}"
    if harm > least and unused:
        kinds = {block["type"] for block in unused}
        mistake = "most_free_first" if "Unmovable" in kinds else "by_type"
    elif harm > least:
        free, most = 512 >> order, harms.count(1)
        told += f"; a wholly free pageblock costs 2 and has room for {free} blocks"
        mistake = "greedy" if most > 1 else ""
    score = max(0.0, 1 - (harm - least) / least)
    return Judged(min(1.0, score), told, mistake)


def _wrong(expected, got):
    """In words why it is no placement, and the mistake that this is."""
    blocks, order = expected["pageblocks"], expected["order"]
    if not isinstance(got, list) or len(got) != len(blocks):
        return f"a placement is a list of {len(blocks)} numbers, one for each pageblock", ""
    if any(type(n) is not int or n < 0 for n in got):
        return "each number should be 0 or more: blocks that go to that pageblock", ""
    for at, (block, n) in enumerate(zip(blocks, got, strict=True)):
        if n > _room(block, order):
            fits = _room(block, order)
            told = f"pageblock {at} has room for {fits} such blocks, not {n}"
            return told, _counts_pages(blocks, got, order)
    if sum(got) != expected["blocks"]:
        return f"{sum(got)} blocks are placed, there are {expected['blocks']}", ""
    return "", ""


def _counts_pages(blocks, got, order):
    """Is there a pageblock that gets as many as its free pages would make, however they lie?"""
    for block, n in zip(blocks, got, strict=True):
        pages = sum(many << at for at, many in enumerate(block["free"]))
        if _room(block, order) < n == pages >> order:
            return "counts_pages"
    return ""


def _room(block, order):
    return sum(n << at - order for at, n in enumerate(block["free"]) if at >= order)


def _harm(block):
    if block["unmovable"]:
        return 0
    return 1 if block["movable"] else 2
