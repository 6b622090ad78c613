"""What a scale offers: weights, tasks, data and recipes."""
