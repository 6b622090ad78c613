"""Ways to adapt a net to a task, a file each: a frozen dataclass says what to do, `measure` does it on one cell."""
