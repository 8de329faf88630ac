"""Where `Served` was before it went to `teachers/served.py`: programs import it from here."""

from .teachers.served import Served, read_served

__all__ = ["Served", "read_served"]
