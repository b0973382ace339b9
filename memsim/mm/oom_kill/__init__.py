"""The OOM killer: who is killed when no memory can be had, what is logged, what comes back.

The kernel's mm/oom_kill.c in its own order: `task` (the structs, as far as it looks at them) ←
`badness` ← `constraint`, `victim` ← `select`, `reaper` ← `lines` (what is printed) ←
`header` ← `kill` ← `out_of_memory`; `fork`, `area`, `score_adj` and `exit` are what a task does
itself. `journal` makes steps of all of it.

NOT MODELLED: locks, signals on their way, the freezer, threads that run meanwhile, core dumps in
progress but for their flag; process_mrelease(); that reports are held back when there are many
(__ratelimit()).

Kernel: mm/oom_kill.c
"""
