"""Many runs: planned, executed by a pool of processes, repeated."""
