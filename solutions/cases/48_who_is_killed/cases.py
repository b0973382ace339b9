"""Processes of a machine that is out of memory; whom memsim's select_bad_process() chooses."""

from functools import cache

from memsim import GFP_KERNEL, Machine
from memsim.mm.oom_kill.constraint import OomControl
from memsim.mm.oom_kill.select import select_bad_process
from memsim.mm.oom_kill.task import Mm, OomState, add_process
from memsim.words.oom import MMF_OOM_SKIP, PF_KTHREAD

WAIT, PANIC = 0, -1


@cache
def _vm():
    """Two nodes: a process may be kept to one of them."""
    return Machine(["16 MiB", "16 MiB"], steps=False).vm


def RIGHT(processes, totalpages, nodes):
    vm = _vm()
    vm.oom = OomState()
    vm.oom.processes.clear()
    for told in processes:
        task = _task(vm, told)
        task.mems_allowed = _mask(told["nodes"])
    vm.oom.current.mems_allowed = _mask(nodes)
    oc = OomControl(GFP_KERNEL, 0)
    oc.totalpages = totalpages
    select_bad_process(vm, oc)
    if oc.aborted:
        return WAIT
    return PANIC if oc.chosen is None else oc.chosen.pid


def _task(vm, told):
    mm = Mm(told["rss"], told["rss"], swapents=told["swapents"],
            pgtables_bytes=told["pgtables_bytes"])  # fmt: skip
    if told["kernel_thread"]:
        return add_process(vm.oom, told["pid"], told["name"], None, flags=PF_KTHREAD)
    adj = told["oom_score_adj"]
    task = add_process(vm.oom, told["pid"], told["name"], mm, oom_score_adj=adj)
    if told["victim"]:
        task.signal.oom_mm = mm
    if told["victim"] == "reaped":
        mm.flags |= MMF_OOM_SKIP
    return task


def _mask(nodes):
    return sum(1 << node for node in nodes)


def _choose(processes, totalpages, nodes, wrong=""):
    """The kernel's choice, or with one mistake in it."""
    best, most = PANIC, None
    for told in processes:
        if told["kernel_thread"] or (told["pid"] == 1 and wrong != "kills_init"):
            continue
        if wrong != "other_nodes" and not set(told["nodes"]) & set(nodes):
            continue
        if told["victim"] and wrong != "kills_again":
            if told["victim"] == "dying" or wrong == "waits_for_reaped":
                return WAIT
            continue
        if told["oom_score_adj"] == -1000 and wrong != "kills_protected":
            continue
        points = _points(told, totalpages, wrong)
        if most is None or points > most or (points == most and wrong != "first_of_equals"):
            best, most = told["pid"], points
    return best


def _points(told, totalpages, wrong):
    tables = told["pgtables_bytes"] // (1 if wrong == "bytes" else 4096)
    swap = 0 if wrong == "no_swap" else told["swapents"]
    adj = told["oom_score_adj"]
    adj = adj * totalpages // 1000 if wrong == "divides_last" else adj * (totalpages // 1000)
    return told["rss"] + swap + tables + adj


#: The mistakes, and what the case that tells each of them is called.
NAMES = {
    "no_swap": "what is in swap",
    "bytes": "page tables",
    "divides_last": "a thousandth of memory, rounded down",
    "first_of_equals": "two with as many points",
    "kills_protected": "the largest is protected",
    "kills_init": "init has most",
    "kills_again": "a victim is dying",
    "waits_for_reaped": "a victim was reaped",
    "other_nodes": "memory of another node",
}


def _mistaken(wrong):
    return lambda processes, totalpages, nodes: _choose(processes, totalpages, nodes, wrong)


MISTAKES = {wrong: _mistaken(wrong) for wrong in NAMES}


def draw(rng):
    cases = []
    for wrong in NAMES:
        for visible in (True, False):
            cases.append({
                "name": NAMES[wrong] + ("" if visible else ", another"),
                "call": "choose", "args": _telling(rng, wrong), "visible": visible,
                "group": "" if visible else NAMES[wrong],
                "hint": "" if visible else "Whom would oom_evaluate_task() not look at?",
            })  # fmt: skip
    cases.append(_nobody(rng))
    shown = "\n".join(_shown(case) for case in cases if case["visible"])
    return {"shown": shown, "cases": cases}


def _nobody(rng):
    """All who could be killed are protected."""
    processes = [_process(rng, pid) for pid in (1, 2, 300, 301)]
    for told in processes:
        told["oom_score_adj"] = -1000
    return {
        "name": "nobody may be killed", "call": "choose", "args": [processes, 9000, [0, 1]],
        "visible": False, "group": "nobody is left", "hint": "Then the kernel panics: -1.",
    }  # fmt: skip


def _telling(rng, wrong):
    """A moment that this mistake gets wrong."""
    while True:
        args = _moment(rng, wrong)
        if MISTAKES[wrong](*args) != RIGHT(*args):
            return args


def _moment(rng, wrong):
    pids = [1, 2, *sorted(rng.sample(range(200, 900), rng.randrange(4, 7)))]
    processes = [_process(rng, pid) for pid in pids]
    totalpages = rng.randrange(4, 90) * 1000 + rng.randrange(100, 999)
    users = processes[2:]
    if wrong == "first_of_equals":
        first, last = rng.sample(users, 2)
        last.update({key: first[key] for key in ("swapents", "pgtables_bytes", "oom_score_adj")})
        last["rss"] = first["rss"]
    if wrong == "bytes":
        for told in users:
            told["oom_score_adj"] = 0
    if wrong == "divides_last":
        for told in users:
            told["oom_score_adj"] = rng.choice([-900, -700, 650, 800, 950])
    if wrong == "kills_init":
        processes[0]["rss"] = 90_000
    if wrong == "kills_protected":
        max(users, key=lambda told: told["rss"])["oom_score_adj"] = -1000
    if wrong in ("kills_again", "waits_for_reaped"):
        rng.choice(users)["victim"] = "dying" if wrong == "kills_again" else "reaped"
    nodes = [0, 1]
    if wrong == "other_nodes":
        nodes = [rng.randrange(2)]
        for told in users:
            told["nodes"] = rng.choice([[0], [1], [0, 1]])
    return [processes, totalpages, nodes]


def _process(rng, pid):
    """init, a kernel thread, or a user's."""
    name = {1: "init", 2: "kthreadd"}.get(pid) or rng.choice(
        ["bash", "cc1", "firefox", "java", "make", "mysqld", "nginx", "postgres", "python3", "vim"]
    )
    rss = rng.choice([rng.randrange(50, 900), rng.randrange(900, 9000)])
    return {
        "pid": pid,
        "name": name,
        "rss": 0 if pid == 2 else rss,
        "swapents": rng.choice([0, 0, rng.randrange(1, 4000)]) if pid > 2 else 0,
        "pgtables_bytes": 4096 * rng.randrange(6, 60) if pid != 2 else 0,
        "oom_score_adj": rng.choice([0, 0, 0, -500, -100, 200, 300]) if pid > 2 else 0,
        "kernel_thread": pid == 2,
        "victim": "",
        "nodes": [0, 1],
    }


def _shown(case):
    processes, totalpages, nodes = case["args"]
    lines = [f"{case['name']}: totalpages {totalpages}, nodes {nodes}"]
    for p in processes:
        more = "".join([
            " kernel thread" if p["kernel_thread"] else "",
            f" {p['victim']}" if p["victim"] else "",
            f" node {p['nodes'][0]} only" if len(p["nodes"]) == 1 else "",
        ])  # fmt: skip
        lines.append(
            f"  {p['pid']:>4} {p['name']:<9} rss {p['rss']:>5} swap {p['swapents']:>5} "
            f"tables {p['pgtables_bytes']:>6} adj {p['oom_score_adj']:>5}{more}"
        )
    return "\n".join(lines)
