"""Real programs' memory traces, replayed over the same ``mm/`` and ``machine/``."""
