"""The OOM killer: who is killed when no memory can be had, what is logged, what comes back.

The kernel's mm/oom_kill.c in its own order: `task` (the structs, as far as it looks at them) ←
`badness`, `eligible` ← `constraint`, `victim` ← `select`, `reaper` ← `lines` (what is printed) ←
`header` ← `kill` ← `out_of_memory`; `score_adj` and `exit` are what a task does itself.

NOT MODELLED: locks, signals on their way, the freezer, threads that run meanwhile, core dumps in
progress but for their flag; process_mrelease(); that reports are held back when there are many
(__ratelimit()); time: who calls says when the reaper wakes. `history` is for undo(): what changes
tasks outside of a Machine's own operations is not taken back.

Kernel: mm/oom_kill.c
"""
