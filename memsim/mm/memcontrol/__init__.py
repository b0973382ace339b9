"""Memory cgroups, one level below the root: mm/memcontrol.c with cgroup v2, by its sections.

`state` (the structs, and each change of them) ← `css` (a group comes), `stock`, `uncharge`,
`swap` ← `high` ← `charge` ← `kmem`; `limits` is what is written to a group's files, `stat` what
memory.stat has. Charging stands below the page cache and reclaim above it, so it asks Vm.pressure
to reclaim and to kill, as the slow path does. None for a memcg is the root, which is not charged.

NOT MODELLED: cgroup v1; groups below a group; that a group goes (mem_cgroup_css_offline()), or
that a task moves to another; charging of slab's objects (obj_cgroup; pages asked for with
__GFP_ACCOUNT are charged), page tables, percpu memory, sockets, zswap; per-CPU counters that lag
(mem_cgroup_flush_stats()); vmpressure(); psi; memory.reclaim, memory.numa_stat, memory.swap.high,
writing memory.peak.
"""
