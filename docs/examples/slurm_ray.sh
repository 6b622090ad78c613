#!/bin/bash
# A Slurm job as a Ray cluster, with a node of Ray on each of the job's. What follows the script's name goes to
# `python -m benchmarks run`:
#
#   sbatch --nodes=4 --gres=gpu:8 --exclusive docs/examples/slurm_ray.sh table2 --scale paper --data-root "$DATA"
#
#SBATCH --job-name=delta-patching --ntasks-per-node=1 --requeue --open-mode=append --signal=B:TERM@60
set -eu

# Who knows the token may run anything on the nodes: it lies in the home of whoever queued this.
export RAY_AUTH_MODE=token
[ -n "${RAY_AUTH_TOKEN:-}" ] || ray get-auth-token --generate > /dev/null

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | cut -d " " -f 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # two jobs may share a node

join() { # join NODES NODELIST FLAGS OF RAY...
    local nodes=$1 names=$2
    shift 2
    srun --overlap --nodes="$nodes" --ntasks="$nodes" --nodelist="$names" \
        bash -c 'exec ray start --num-cpus="$SLURM_CPUS_ON_NODE" --block "$@"' ray "$@" &
}

join 1 "$head" --head --node-ip-address="$address" --port="$port" --include-dashboard=false
until (exec 3<> "/dev/tcp/$address/$port") 2> /dev/null; do sleep 1; done
others=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n +2 | paste -sd ,)
if [ -n "$others" ]; then
    join $((SLURM_JOB_NUM_NODES - 1)) "$others" --address="$address:$port"
fi

# In place of this shell, so that the signal before the time limit comes to it; Slurm ends the nodes of Ray behind it.
exec python -m benchmarks run "$@" --cluster "$address:$port"
