"""Every interleaving of a program: ``check`` searches, ``reproduce`` runs one of them.

Start reading in ``checker.py``; ``engine.py`` has the loops in which the time goes.
"""

from pagerace.search.checker import check, races_of
from pagerace.search.replay import Mismatch
from pagerace.search.reproduce import reproduce
from pagerace.search.result import Result, TooManyChoices
from pagerace.search.schedule import ScheduleError

__all__ = ["Mismatch", "Result", "ScheduleError", "TooManyChoices", "check", "races_of",
           "reproduce"]  # fmt: skip
