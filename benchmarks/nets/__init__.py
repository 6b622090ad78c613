"""Nets of a run: slim ones, their pre-training, weights of others, what full-size ones cost."""
