#!/bin/bash
# A Slurm array in which each job measures its share of a table, into a results folder of its own. What follows the
# script's name goes to `python -m benchmarks run`:
#
#   sbatch --array=1-8 --gres=gpu:1 --cpus-per-task=16 docs/examples/slurm_shares.sh table2 --scale paper --data-root "$DATA"
#
#SBATCH --job-name=delta-patching --requeue --open-mode=append --signal=B:TERM@60
set -eu

# In place of this shell, so that the signal before the time limit comes to it.
exec python -m benchmarks run "$@" --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    --results "share-$SLURM_ARRAY_TASK_ID"
