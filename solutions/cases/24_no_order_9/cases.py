"""An adversary's plan: no block of order 9 is left, though little is in use at any moment."""

PAGES_PER_BLOCK = 512


def all_at_once(given):
    """Fills everything with order 4, then keeps one block in 32."""
    blocks = given["pages"] >> 4
    frees = [["free", number] for number in range(blocks) if number % 32]
    return [["alloc", 4]] * blocks + frees


def one_place(given):
    return [["alloc", 0]] * (given["pages"] // PAGES_PER_BLOCK)


def keeps_too_much(given):
    """As many blocks of order 8 as the limit allows: half of a pageblock each."""
    return [["alloc", 8]] * (given["limit"] >> 8)


def half_of_it(given):
    """Small blocks up to the limit, one kept of each pageblock: beyond the limit it never gets."""
    blocks = given["limit"] >> 4
    frees = [["free", number] for number in range(blocks) if number % 32]
    return [["alloc", 4]] * blocks + frees


MISTAKES = {
    "all_at_once": all_at_once,
    "one_place": one_place,
    "keeps_too_much": keeps_too_much,
    "half_of_it": half_of_it,
}


def draw(rng):
    cases = [_case(rng, blocks, blocks == 4) for blocks in (4, 5)]
    given = cases[0]["args"][0]
    shown = (
        f"pages: {given['pages']}, all free: {given['pages'] // PAGES_PER_BLOCK} pageblocks\n"
        f"limit: {given['limit']} pages may be in use at any moment\n"
        f"end:   {given['end']} pages may be in use at the end"
    )
    return {"shown": shown, "cases": cases}


def _case(rng, blocks, visible):
    pages = blocks * PAGES_PER_BLOCK
    limit = pages * rng.randrange(42, 52) // 100 + rng.randrange(8)
    given = {"pages": pages, "limit": limit, "end": pages // 10}
    return {
        "name": f"{blocks} pageblocks, at most {limit} pages in use",
        "call": "plan", "args": [given], "expected": given, "visible": visible,
        "group": "another machine",
        "hint": "Another number of pageblocks, another limit: compute from given.",
    }  # fmt: skip
