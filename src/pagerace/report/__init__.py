"""An execution as text.  Standard library only; reads executions and nothing else."""
