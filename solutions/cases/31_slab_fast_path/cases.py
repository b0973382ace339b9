"""Lives of a cache on one CPU or more: which object, and every list after each request.

What is right comes from memsim's own SLUB, with objects of 8,192 bytes: four in a slab. No slab
comes to a node's list: no life gives a CPU more partial slabs than it may keep.
"""

from textwrap import fill

from memsim import GFP_KERNEL, Machine
from memsim.mm.slub.alloc import chain_of
from memsim.mm.slub.kmem_cache import address_of, kmem_cache_alloc, kmem_cache_free
from memsim.words.slab import NUMA_NO_NODE

OBJECTS, MOST_CPUS, MOST_PARTIAL = 4, 3, 3
_CACHES = 50


class _Machines:
    """A machine for so many caches, then another."""

    machine, nr = None, 0

    @classmethod
    def new_cache(cls):
        if cls.nr % _CACHES == 0:
            cls.machine = Machine("64 MiB", cpus=MOST_CPUS, slab=True)
        cls.nr += 1
        # with a constructor no cache is merged with another
        cache = cls.machine.kmem_cache_create(f"cache {cls.nr}", 8000, ctor=True)
        cache.random_seq = []
        return cache


def told(slab, lockless, partial, freelist):
    return f"slab {slab} lockless {lockless} partial {partial} freelist {freelist}"


class RIGHT:
    """The model. Slabs are numbered as they come."""

    def __init__(self, nr_cpus, objects):
        self.cache, self.nr_cpus = _Machines.new_cache(), nr_cpus
        assert self.cache.oo[1] == objects
        assert self.cache.cpu_partial_slabs == MOST_PARTIAL
        self.slabs = []

    def alloc(self, cpu):
        self.cache.vm.set_cpu(cpu)
        slab, obj = kmem_cache_alloc(self.cache, GFP_KERNEL, NUMA_NO_NODE)
        if slab not in self.slabs:
            self.slabs.append(slab)
        return [self.slabs.index(slab), obj]

    def free(self, slab, index, cpu):
        self.cache.vm.set_cpu(cpu)
        assert not kmem_cache_free(self.cache, address_of((self.slabs[slab], index)))

    def lists(self):
        cpus = self.cache.cpu_slab[: self.nr_cpus]
        assert not self.cache.node[0].nr_partial
        slab = [None if c.slab is None else self.slabs.index(c.slab) for c in cpus]
        lockless = [chain_of(c.slab, c.freelist) if c.slab else [] for c in cpus]
        partial = [self._chain(c.partial) for c in cpus]
        freelist = [chain_of(slab, slab.freelist) for slab in self.slabs]
        return told(slab, lockless, partial, freelist)

    def _chain(self, slab):
        return [self.slabs.index(slab), *self._chain(slab.next)] if slab else []


class Plain:
    """The same without the model, each step of which a mistake can spoil."""

    own_freelist, owners, frozen_stays = True, False, True

    def __init__(self, nr_cpus, objects):
        self.objects = objects
        self.slab = [None] * nr_cpus
        self.lockless = [[] for _ in range(nr_cpus)]
        self.partial = [[] for _ in range(nr_cpus)]
        self.freelist, self.owner = [], []

    def lists(self):
        return told(self.slab, self.lockless, self.partial, self.freelist)

    def alloc(self, cpu):
        if not self.lockless[cpu]:
            slab = self.slab[cpu] = self.next_slab(cpu)
            self.take(cpu, slab)
            self.owner[slab] = cpu
        return [self.slab[cpu], self.lockless[cpu].pop(0)]

    def take(self, cpu, slab):
        self.lockless[cpu], self.freelist[slab] = self.freelist[slab], []

    def next_slab(self, cpu):
        slab = self.slab[cpu]
        if slab is not None and self.freelist[slab] and self.own_freelist:
            return slab
        if self.partial[cpu]:
            return self.partial[cpu].pop(0)
        self.freelist.append(list(range(self.objects)))
        self.owner.append(cpu)
        return len(self.freelist) - 1

    def free(self, slab, index, cpu):
        if slab == self.slab[cpu]:
            self.put(self.lockless[cpu], index)
            return
        joins = not self.freelist[slab] and not (slab in self.slab and self.frozen_stays)
        self.put(self.list_of(slab), index)
        if joins:
            self.join(self.partial[self.owner[slab] if self.owners else cpu], slab)

    def join(self, slabs, slab):
        slabs.insert(0, slab)

    def put(self, free, index):
        free.insert(0, index)

    def list_of(self, slab):
        return self.freelist[slab]


class ToTheirLockless(Plain):
    def list_of(self, slab):
        return self.lockless[self.slab.index(slab)] if slab in self.slab else self.freelist[slab]


class ForgetsOwnFreelist(Plain):
    own_freelist = False


class AtTheTail(Plain):
    def put(self, free, index):
        free.append(index)


class PartialOfOwner(Plain):
    owners = True


class JoinsTwice(Plain):
    frozen_stays = False


class PartialAtTail(Plain):
    def join(self, slabs, slab):
        slabs.append(slab)


class TwoNames(Plain):
    def take(self, cpu, slab):
        self.lockless[cpu] = self.freelist[slab]


MISTAKES = {
    "to_their_lockless": ToTheirLockless,
    "forgets_own_freelist": ForgetsOwnFreelist,
    "at_the_tail": AtTheTail,
    "partial_of_owner": PartialOfOwner,
    "joins_twice": JoinsTwice,
    "partial_at_tail": PartialAtTail,
    "two_names": TwoNames,
}

#: CPUs that ask, with None, and that free, with the number of the request whose object it is.
REMOTE = [(0, None)] * 3 + [(1, None), (1, 1), (1, 0), (0, None), (0, None)]
FULL = [(0, None)] * 6 + [(1, None), (1, 2), (1, 0), *[(1, None)] * 4, (0, None)]
#: Slabs 0 and 1 come to one partial list; object 6 is freed to slab 1, which CPU 1 then has.
TWO = [*[(0, None)] * 9, (1, 1), (1, 5), (0, 2), (1, None), (0, 6), (1, None), (1, None)]


def draw(rng):
    told = [
        ("one CPU", 1, _life(rng, 1, 12), ""),
        ("CPU 1 frees objects of a slab that CPU 0 has", 2, REMOTE, ""),
        ("CPU 1 frees objects of a full slab", 2, FULL, ""),
        ("two slabs on one partial list", 2, TWO, ""),
        ("one CPU", 1, _life(rng, 1, 16), "one CPU"),
        ("two CPUs", 2, _life(rng, 2, 18), "several CPUs"),
        ("three CPUs", 3, _life(rng, 3, 18), "several CPUs"),
    ]
    cases = [_case(*entry) for entry in told]
    visible = [case["script"] for case in cases if case["visible"]]
    shown = [f"{OBJECTS} objects in a slab", *map(_shown, visible, [1, 2, 3, 4])]
    return {"shown": "\n".join(shown), "cases": cases}


def _shown(script, number):
    """The requests of a case: alloc(CPU) and free(slab, index, CPU)."""
    calls = [f"{name}({','.join(map(str, args))})" for _, name, args in script if args]
    return fill(f"case {number}: {' '.join(calls[1:])}", 80, subsequent_indent="  ")


_HINTS = {
    "one CPU": "Which slab does the next request look at when the lockless list is empty?",
    "several CPUs": "Who frees, and is the slab one that this CPU, another or none allocates from?",
}


def _life(rng, nr_cpus, length):
    """Requests and frees, as (CPU, None) and (CPU, which object); few enough partial slabs."""
    cache, held, got, life = Plain(nr_cpus, OBJECTS), [], [], []
    while len(life) < length:
        cpu = rng.randrange(nr_cpus)
        if not held or rng.random() < 0.6:
            got.append(cache.alloc(cpu))
            held.append(len(got) - 1)
            life.append((cpu, None))
        elif len(cache.partial[cpu]) < MOST_PARTIAL:
            freed = held.pop(rng.randrange(len(held)))
            cache.free(*got[freed], cpu)
            life.append((cpu, freed))
    return life


def _case(name, nr_cpus, life, group):
    cache, got, script = Plain(nr_cpus, OBJECTS), [], [["new", "Cache", [nr_cpus, OBJECTS]]]
    for cpu, freed in life:
        if freed is None:
            got.append(cache.alloc(cpu))
            script.append(["do", "alloc", [cpu]])
        else:
            cache.free(*got[freed], cpu)
            script.append(["do", "free", [*got[freed], cpu]])
        if not group or len(script) % 6 == 0:
            script.append(["do", "lists", []])
    script.append(["do", "lists", []])
    return {
        "name": f"{name}: {len(life)} requests and frees",
        "script": script,
        "every": True,
        "visible": not group,
        "group": group,
        "hint": _HINTS.get(group, ""),
    }
