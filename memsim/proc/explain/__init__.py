"""A report of a failure, explained line by line: what was asked, who refused, and what can be done.

`zones` (who refused, on which mark) and `victim` (who was killed, and why) ← `request`, `memory`
(what was asked; where memory is) ← `damage` (what is cut off) and `remedies` ← `explanation` ←
`text`. `meanings` (what each word of a report means, and where the kernel keeps it) ← `reading`
(all lines, taken apart).
"""

from memsim.proc.explain.explanation import Explanation, explain_failure, explain_log

__all__ = ["Explanation", "explain_failure", "explain_log"]
