"""A suite whose runs do nothing: what is left is what a grid adds to a run."""
