"""Train a patch: one loop, features of the frozen part stored once, resumable."""
