"""The lines of a report, of any kernel since 4.9: one pattern for each.

Every pattern is anchored and takes a line in one pass.
"""

from __future__ import annotations

import re

_FLAGS = re.ASCII

#: What a log puts in front of a line: syslog's or journald's date and host, a level, times, a
#: caller. The blank that begins a line of several is the kernel's own.
PREFIX = re.compile(
    r"(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S{1,255} kernel: "
    r"|\d{4}-\d\d-\d\d[T ]\S{1,40} (?:\S{1,255} kernel: )?)?"
    r"(?:<\d{1,3}>)?"
    r"(?:\[[ \d]{1,12}\.\d{1,9}\] ?"
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?)?"
    r"(?:\[ *[TC]\d{1,10}\] ?)?",
    _FLAGS,
)
INVOKED = re.compile(
    r"(?P<comm>.{1,64}) invoked oom-killer: gfp_mask=0x(?P<mask>[0-9a-f]{1,8})"
    r"(?:\((?P<names>[\w|]{1,600})\))?,(?: nodemask=(?P<nodemask>[^ ]{1,200}),)? "
    r"order=(?P<order>-?\d{1,3}), oom_score_adj=(?P<adj>-?\d{1,4})",
    _FLAGS,
)
#: page allocation failure, page allocation stalls, vmalloc: allocation failure, vmalloc error.
FAILED = re.compile(
    r"(?P<comm>.{1,64}?): (?P<what>(?:page allocation|vmalloc)[^()]{1,200}?), "
    r"mode:0x(?P<mask>[0-9a-f]{1,8})(?:\((?P<names>[\w|]{1,600})\))?"
    r"(?:,(?: ?)nodemask=(?P<nodemask>\(null\)|[\d,-]{1,200}))?"
    r"(?:,cpuset=(?P<cpuset>[^,]{1,255}),mems_allowed=(?P<mems>[\d,-]{1,200}))?\s*$",
    _FLAGS,
)
ORDER = re.compile(r"order[: ](\d{1,3})", _FLAGS)
PID = re.compile(r"CPU: \d{1,6} (?:UID: \d{1,10} )?PID: (\d{1,10}) Comm: ", _FLAGS)
TOTALS = re.compile(r" ?[a-z_]{1,40}:\d{1,20}(?: [a-z_]{1,40}:\d{1,20}){0,3}$", _FLAGS)
#: Nodes may be left out where the kernel knows none.
NODE = re.compile(r"Node (\d{1,4}) (active_anon:.*) all_unreclaimable\? (yes|no)", _FLAGS)
ZONE = re.compile(r"(?:Node (\d{1,4}) )?([A-Z][A-Za-z0-9]{1,15}) (free:.*)", _FLAGS)
RESERVE = re.compile(r"lowmem_reserve\[\]:((?: -?\d{1,20}){1,16})$", _FLAGS)
BLOCKS = re.compile(r"(?:Node (\d{1,4}) )?([A-Z][A-Za-z0-9]{1,15}): (\d.*) = (\d{1,20})kB", _FLAGS)
BLOCK = re.compile(r"(\d{1,20})\*(\d{1,12})kB(?: \(([A-Z]{0,8})\))?", _FLAGS)
COUNTER = re.compile(r"([a-z_()]{1,40}):(\d{1,20})(?:[kK]B)?", _FLAGS)
HUGE = re.compile(
    r"Node (\d{1,4}) hugepages_total=(\d{1,10}) hugepages_free=(\d{1,10}) "
    r"hugepages_surp=(\d{1,10}) hugepages_size=(\d{1,12})kB",
    _FLAGS,
)
LAST = re.compile(
    r"(?P<before>Free swap  = |Total swap = |)(?P<number>\d{1,20})"
    r"(?P<behind>kB| total pagecache pages| pages [A-Za-z/ ]{1,40})$",
    _FLAGS,
)
MEMCG = re.compile(
    r"(memory|swap|memory\+swap): usage (\d{1,20})kB, limit (\d{1,20})kB, failcnt (\d{1,20})",
    _FLAGS,
)
MEMCG_STATS = re.compile(r"Memory cgroup stats for (.{1,4096}?):\s*(.*)$", _FLAGS)
MEMCG_STAT = re.compile(r"([a-z][a-z0-9_]{1,60}) (\d{1,20})$", _FLAGS)
SLAB = re.compile(r"(\S{1,64}) +(\d{1,20})KB +(\d{1,20})KB$", _FLAGS)
TASKS = re.compile(r"\[ *pid *\] +(uid +tgid .{1,200}) name$", _FLAGS)
TASK = re.compile(r"\[ *(\d{1,10})\] +((?:-?\d{1,20} +){3,16})(.{1,64})$", _FLAGS)
CHOSEN = re.compile(
    r"oom-kill:constraint=(CONSTRAINT_[A-Z_]{1,20}),nodemask=(\(null\)|[\d,-]{1,200}),"
    r"cpuset=([^,]{1,255}),mems_allowed=([\d,-]{1,200}),(?:global_oom|oom_memcg=([^,]{1,4096})),"
    r"task_memcg=([^,]{1,4096}),task=(.{1,64}?),pid=(\d{1,10}),uid=(\d{1,10})$",
    _FLAGS,
)
KILLED = re.compile(
    r"(?:(?P<message>[A-Z][^:]{1,80}): )?Killed process (?P<pid>\d{1,10}) \((?P<comm>.{1,64})\),? "
    r"(?:UID \d{1,10}, )?total-vm:(?P<total_vm>\d{1,20})kB, anon-rss:(?P<anon_rss>\d{1,20})kB, "
    r"file-rss:(?P<file_rss>\d{1,20})kB(?:, shmem-rss:(?P<shmem_rss>\d{1,20})kB)?"
    r"(?:, UID:(?P<uid>\d{1,10}) pgtables:(?P<pgtables>\d{1,20})kB "
    r"oom_score_adj:(?P<oom_score_adj>-?\d{1,4}))?",
    _FLAGS,
)
REAPED = re.compile(
    r"oom_reaper: reaped process (\d{1,10}) \((.{1,64})\), now anon-rss:(\d{1,20})kB, "
    r"file-rss:(\d{1,20})kB, shmem-rss:(\d{1,20})kB",
    _FLAGS,
)
PANIC = re.compile(
    r"Kernel panic - not syncing: (Out of memory.{1,200}|System is deadlocked on memory.{0,20})",
    _FLAGS,
)
