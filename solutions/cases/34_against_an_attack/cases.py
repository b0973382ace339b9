"""Attacks on the slab allocator, and what of 6.12 stops each of them.

STOPS: for each attack sets of defences, each of which is enough. Checked against mm/slub.c,
mm/slab_common.c, mm/slab.h and mm/util.c of 6.12.
"""

from itertools import product

PRICES = {
    "SLAB_FREELIST_HARDENED": 1, "SLAB_FREELIST_RANDOM": 1, "SLAB_BUCKETS": 1,
    "RANDOM_KMALLOC_CACHES": 1, "init_on_alloc": 1, "init_on_free": 2, "slab_nomerge": 1,
    "slab_debug=F": 4, "slab_debug=Z": 4, "slab_debug=P": 4,
}  # fmt: skip
_HARD, _F, _Z, _P = "SLAB_FREELIST_HARDENED", "slab_debug=F", "slab_debug=Z", "slab_debug=P"
STOPS = {
    # freelist_ptr_decode(); check_object(); calculate_sizes() moves the pointer out of the object
    "blind_pointer": [[_HARD], [_F], [_P]],
    # set_freepointer() BUG_ON(); free_consistency_checks()
    "double_free": [[_HARD], [_F]],
    # free_consistency_checks() looks at the whole freelist
    "double_free_later": [[_F]],
    # slab_want_init_on_alloc(); slab_want_init_on_free(); init_object()
    "stale_alloc": [["init_on_alloc"], ["init_on_free"], [_P]],
    "stale_read": [["init_on_free"], [_P]],
    # memdup_user() has buckets; kmalloc_type() hashes the caller
    "spray": [["SLAB_BUCKETS"], ["RANDOM_KMALLOC_CACHES"]],
    # shuffle_freelist()
    "neighbour": [["SLAB_FREELIST_RANDOM"]],
    # find_mergeable(); SLAB_NEVER_MERGE
    "merged": [["slab_nomerge"], [_Z], [_P]],
    # cache_from_obj()
    "wrong_cache": [[_HARD], [_F]],
    # check_object(), which only F calls when an object is freed or asked for
    "report_underflow": [[_F, _Z]],
    "report_write": [[_F, _P]],
}
#: What a student believes who thinks that hardening is against every double free.
_BELIEVED = {**STOPS, "double_free_later": [[_HARD]]}
#: ... and who takes init_on_alloc for as good as init_on_free.
_ZEROED = {**STOPS, "stale_read": [["init_on_alloc"]]}

#: ... and who thinks that red zones and poison report a bug by themselves.
_KEPT = {**STOPS, "report_underflow": [[_Z]], "report_write": [[_P]]}


def RIGHT(attacks, stops=STOPS):
    """The cheapest set of defences that stops all of them; sorted."""
    choices = product(*(stops[attack] for attack in attacks))
    sets = [sorted({name for part in choice for name in part}) for choice in choices]
    return min(sets, key=lambda names: (price(names), names))


def price(names):
    return sum(PRICES[name] for name in names)


def nobody_looks(attacks):
    return RIGHT(attacks, _KEPT)


def everything(attacks):
    return sorted(PRICES)


def debug_for_all(attacks):
    return [_F, _P, _Z]


def any_double_free(attacks):
    return RIGHT(attacks, _BELIEVED)


def zero_is_zero(attacks):
    return RIGHT(attacks, _ZEROED)


MISTAKES = {
    "everything": everything, "debug_for_all": debug_for_all,
    "any_double_free": any_double_free, "zero_is_zero": zero_is_zero,
    "nobody_looks": nobody_looks,
}  # fmt: skip


def draw(rng):
    kept = ["stale_read", "stale_alloc", "report_underflow"]
    freed = ["double_free_later", "double_free"]
    dear = ["double_free_later", "report_write"]  # in need of F or P, which hide a mistake here
    kept.append(rng.choice([attack for attack in STOPS if attack not in kept + dear]))
    freed += rng.sample([attack for attack in STOPS if attack not in freed], 2)
    both = [kept, freed]
    rng.shuffle(both)
    cases = [_case(rng, some, True) for some in both]
    sizes = [3, 4, 5]
    cases += [_case(rng, rng.sample(sorted(STOPS), size), False) for size in sizes]
    asked = "\n".join(f"{n + 1}: {', '.join(case['args'][0])}" for n, case in enumerate(cases[:2]))
    return {"shown": f"Choose against\n{asked}", "cases": cases}


def _case(rng, attacks, visible):
    rng.shuffle(attacks)
    cheapest = price(RIGHT(attacks))
    expected = {"stops": [[attack, STOPS[attack]] for attack in attacks], "cheapest": cheapest}
    return {
        "name": f"against {', '.join(attacks)}", "call": "defend", "args": [attacks],
        "visible": visible, "expected": expected | {"prices": PRICES}, "group": "other attacks",
        "hint": "Write down for each attack of the table what is enough against it.",
    }  # fmt: skip
