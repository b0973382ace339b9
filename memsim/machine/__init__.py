"""Machine: the friendly face of the model."""

from memsim.machine.history import Operation, Recording
from memsim.machine.machine import Machine

__all__ = ["Machine", "Operation", "Recording"]
