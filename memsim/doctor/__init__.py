"""`memsim doctor`: can the course run here, and what of this machine's own can be looked at?

Every line says ok or missing, and what to do. Needs the standard library only.
"""

from memsim.doctor.report import Report, doctor

__all__ = ["Report", "doctor"]
