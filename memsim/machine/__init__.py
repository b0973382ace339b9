"""Machine: the friendly face of the model."""

from memsim.machine.history import Operation, Recording
from memsim.machine.late_kswapd import LateKswapd
from memsim.machine.machine import Machine
from memsim.machine.schedule import Schedule, Turn
from memsim.machine.tasks import UserTask
from memsim.machine.threads import Job

__all__ = [
    "Job",
    "LateKswapd",
    "Machine",
    "Operation",
    "Recording",
    "Schedule",
    "Turn",
    "UserTask",
]
