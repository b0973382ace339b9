"""/proc/slabinfo of a server, seven caches: who is large, and what could come back?

objsize, objperslab and pagesperslab are those of a recorded kernel 6.12 with two CPUs.
"""

from memsim.proc.slabinfo import SlabinfoCache, parse_slabinfo, write_slabinfo

CACHES = {
    "ext4_inode_cache": (1168, 14, 4), "dentry": (192, 21, 1), "buffer_head": (104, 39, 1),
    "inode_cache": (632, 25, 4), "proc_inode_cache": (704, 23, 4), "filp": (192, 21, 1),
    "radix_tree_node": (584, 14, 2), "vm_area_struct": (176, 23, 1), "kmalloc-2k": (2048, 16, 8),
    "anon_vma": (104, 39, 1), "signal_cache": (1152, 14, 4), "mm_struct": (1408, 23, 8),
    "shmem_inode_cache": (760, 21, 4), "kernfs_node_cache": (136, 30, 1),
}  # fmt: skip
QUESTIONS = (
    "the cache that takes most memory", "KiB that it takes", "KiB of it that could come back",
    "use of the cache below the table, in percent", "KiB of the cache below that could come back",
    "the cache of which most could come back", "KiB of all caches",
    "bytes in the slabs of the cache below that are in no object",
)  # fmt: skip
HINTS = (
    "Whole slabs: what do the objects in use need at least?",
    "Pages of slabs, not objects; and pages become KiB.",
)


def RIGHT(given):
    rows = {row["name"]: row for row in given["caches"]}
    largest, asked = max(rows.values(), key=_kib), rows[given["asked"]]
    return [
        largest["name"],
        _kib(largest),
        _back(largest),
        100 * asked["active_objs"] // asked["num_objs"],
        _back(asked),
        max(rows.values(), key=_back)["name"],
        sum(map(_kib, rows.values())),
        asked["num_slabs"]
        * (4096 * asked["pagesperslab"] - asked["objperslab"] * asked["objsize"]),
    ]


def _kib(row):
    return row["num_slabs"] * row["pagesperslab"] * 4


def _back(row):
    needed = -(-row["active_objs"] // row["objperslab"])
    return (row["num_slabs"] - needed) * row["pagesperslab"] * 4


def most_objects(given):
    return [max(given["caches"], key=lambda row: row["num_objs"])["name"], *RIGHT(given)[1:]]


def object_bytes(given):
    found = RIGHT(given)
    rows = {row["name"]: row["num_objs"] * row["objsize"] >> 10 for row in given["caches"]}
    return [found[0], rows[found[0]], *found[2:6], sum(rows.values()), found[7]]


def free_objects(given):
    found = RIGHT(given)
    rows = {
        row["name"]: (row["num_objs"] - row["active_objs"]) * row["objsize"] >> 10
        for row in given["caches"]
    }
    return [*found[:2], rows[found[0]], found[3], rows[given["asked"]], *found[5:]]


MISTAKES = {
    "most_objects": most_objects,
    "object_bytes": object_bytes,
    "free_objects": free_objects,
}


def draw(rng):
    large = rng.choice(["ext4_inode_cache", "inode_cache", "radix_tree_node", "shmem_inode_cache"])
    many = rng.choice(["dentry", "buffer_head", "filp", "anon_vma"])
    others = rng.sample(sorted(CACHES.keys() - {large, many}), 5)
    slabs = rng.randrange(900, 9000)
    rows = [_row(rng, large, slabs), _row(rng, many, slabs * CACHES[large][2] * 4 // 5)]
    rows += [_row(rng, name, slabs // rng.randrange(5, 60)) for name in others]
    rng.shuffle(rows)
    asked = rng.choice([name for name in [many, *others] if name != "kmalloc-2k"])
    text = write_slabinfo(rows)
    fields = (
        "name",
        "active_objs",
        "num_objs",
        "objsize",
        "objperslab",
        "pagesperslab",
        "num_slabs",
    )
    caches = [{key: getattr(row, key) for key in fields} for row in parse_slabinfo(text)]
    cases = [
        {"name": f"{row + 1}. {name}", "pick": row, "visible": row < 3, "group": "caches",
         "hint": HINTS[row in (6, 7)]}
        for row, name in enumerate(QUESTIONS)
    ]  # fmt: skip
    shown = f"{_shorter(text)}\nthe cache that is asked about: {asked}"
    return {"shown": shown, "given": {"caches": caches, "asked": asked}, "cases": cases}


def _shorter(text):
    """Without the tunables of SLAB, which is gone, sharedavail, and active_slabs: all slabs."""
    lines = text.splitlines()[2:]
    head = "# name           active_objs num_objs objsize objperslab pagesperslab : slabdata"
    return "\n".join([head + " num_slabs", *map(_in_columns, lines)]) + "\n"


def _in_columns(line):
    name, active, objs, size, objects, pages, *_, slabs, _ = line.split()
    return (
        f"{name:17}{active:>11} {objs:>8} {size:>7} {objects:>10} {pages:>12} : slabdata {slabs:>9}"
    )


def _row(rng, name, slabs):
    objsize, objects, pages = CACHES[name]
    active = int(slabs * objects * rng.uniform(0.25, 0.97))
    return SlabinfoCache(
        name, active, slabs * objects, objsize, objects, pages, active_slabs=slabs, num_slabs=slabs
    )
