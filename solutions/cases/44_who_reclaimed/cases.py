"""Traces of reclaim in which tasks take turns; which lines say who did what."""

CPU = "[000]"


class RIGHT:
    """One pass over the lines. A mistake spoils one of its parts."""

    run, order_from = "mm_vmscan_kswapd_wake:", ("mm_vmscan_wakeup_kswapd:",)

    def answers(self, given):
        lines = [line.split() for line in given["trace"].splitlines()]
        took = self.times(lines)
        ends = [words for words in lines if words[3] == "mm_vmscan_direct_reclaim_end:"]
        return {
            "runs": sum(words[3] == self.run for words in lines),
            "stalls": len(ends),
            "pages": sum(int(words[4].split("=")[1]) for words in ends),
            "longest": max(time for _, time in took),
            "who": self.who(took),
            "order": self.order([_order(words) for words in lines if words[3] in self.order_from]),
        }

    def times(self, lines):
        """(task, microseconds) of each direct reclaim."""
        begun, took = {}, []
        for task, _, time, event, *_ in lines:
            if event == "mm_vmscan_direct_reclaim_begin:":
                begun[task] = _microseconds(time)
            elif event == "mm_vmscan_direct_reclaim_end:":
                took.append((task, _microseconds(time) - begun.pop(task)))
        return took

    def order(self, orders):
        return max(orders)

    def who(self, took):
        return max(sorted({task for task, _ in took}), key=lambda task: _sum(took, task))


def _sum(took, task):
    return sum(time for other, time in took if other == task)


def _microseconds(time):
    return round(float(time[:-1]) * 1_000_000)


def _order(words):
    return int(next(word for word in words if word.startswith("order=")).split("=")[1])


class WakeupsAreRuns(RIGHT):
    run = "mm_vmscan_wakeup_kswapd:"


class SleepsAreRuns(RIGHT):
    run = "mm_vmscan_kswapd_sleep:"


class AnyOrder(RIGHT):
    order_from = ("mm_vmscan_wakeup_kswapd:", "mm_vmscan_direct_reclaim_begin:")


class LastOrder(RIGHT):
    def order(self, orders):
        return orders[-1]


class LongestOne(RIGHT):
    def who(self, took):
        return max(took, key=lambda one: one[1])[0]


class NextEnd(RIGHT):
    def times(self, lines):
        began, took = 0, []
        for task, _, time, event, *_ in lines:
            if event == "mm_vmscan_direct_reclaim_begin:":
                began = _microseconds(time)
            elif event == "mm_vmscan_direct_reclaim_end:":
                took.append((task, _microseconds(time) - began))
        return took


class InTurn(RIGHT):
    def times(self, lines):
        begins = [w for w in lines if w[3] == "mm_vmscan_direct_reclaim_begin:"]
        ends = [w for w in lines if w[3] == "mm_vmscan_direct_reclaim_end:"]
        return [
            (begin[0], _microseconds(end[2]) - _microseconds(begin[2]))
            for begin, end in zip(begins, ends, strict=True)
        ]


_CLASSES = {
    "wakeups_are_runs": WakeupsAreRuns, "sleeps_are_runs": SleepsAreRuns, "next_end": NextEnd,
    "in_turn": InTurn, "longest_one": LongestOne, "any_order": AnyOrder,
    "last_order": LastOrder,
}  # fmt: skip
_RIGHT = RIGHT().answers
MISTAKES = {name: one().answers for name, one in _CLASSES.items()}
#: Which of the answers a mistake must get wrong.
SPOILS = {
    "wakeups_are_runs": "runs", "sleeps_are_runs": "runs", "next_end": "longest",
    "in_turn": "longest", "longest_one": "who", "any_order": "order",
    "last_order": "order",
}  # fmt: skip


def draw(rng):
    given = _drawn(rng)
    while not _tells(given):
        given = _drawn(rng)
    right = _RIGHT(given)
    cases = []
    for key, visible in (
        ("runs", True), ("longest", True), ("who", True), ("order", True),
        ("stalls", False), ("pages", False),
    ):  # fmt: skip
        cases.append({
            "name": key, "pick": key, "visible": visible, "expected": right[key],
            "mistakes": {name: wrong(given)[key] for name, wrong in MISTAKES.items()
                         if wrong(given)[key] != right[key]},
            "group": "" if visible else "how many, and how much",
            "hint": "" if visible else "Each ..._end is one, with its nr_reclaimed.",
        })  # fmt: skip
    return {"shown": given["trace"], "given": given, "cases": cases}


def _tells(given):
    """Is each mistake told from what is right, and by itself where it matters?"""
    right = _RIGHT(given)
    wrong = {name: mistaken(given) for name, mistaken in MISTAKES.items()}
    if any(wrong[name][key] == right[key] for name, key in SPOILS.items()):
        return False
    return wrong["next_end"]["longest"] != wrong["in_turn"]["longest"]


def _drawn(rng):
    """Three tasks that reclaim, kswapd, all in turns."""
    first = rng.randrange(150, 300)
    tasks = [f"{rng.choice(['wl', 'cc1', 'java'])}-{first + n}" for n in range(3)]
    lines, busy, kswapd = [], {}, False
    time = rng.randrange(20, 90) * 1_000_000
    for _ in range(rng.randrange(20, 26)):
        time += rng.randrange(90, 9000)
        task = rng.choice(tasks)
        if task in busy:
            del busy[task]
            pages = rng.randrange(32, 90)
            lines.append((task, time, f"mm_vmscan_direct_reclaim_end: nr_reclaimed={pages}"))
        elif rng.random() < 0.3:
            order = rng.choice([0, 0, 1, 2])
            lines.append((task, time, f"mm_vmscan_wakeup_kswapd: nid=0 order={order}"))
            if rng.random() < 0.6:
                time += rng.randrange(50, 900)
                event = f"mm_vmscan_kswapd_wake: nid=0 order={order}"
                lines.append(("kswapd0-44", time, event))
                kswapd = True
        elif kswapd and rng.random() < 0.3:
            lines.append(("kswapd0-44", time, "mm_vmscan_kswapd_sleep: nid=0"))
            kswapd = False
        else:
            busy[task] = time
            order = rng.choice([0, 0, 3])
            lines.append((task, time, f"mm_vmscan_direct_reclaim_begin: order={order}"))
    for task in sorted(busy):
        time += rng.randrange(90, 9000)
        pages = rng.randrange(32, 90)
        lines.append((task, time, f"mm_vmscan_direct_reclaim_end: nr_reclaimed={pages}"))
    if not any("wakeup" in event for _, _, event in lines):
        return _drawn(rng)
    text = "\n".join(
        f"{task:>12}  {CPU} {time / 1_000_000:11.6f}: {event}" for task, time, event in lines
    )
    return {"trace": text}
