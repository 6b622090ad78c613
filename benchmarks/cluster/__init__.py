"""A grid on several machines, by Ray: the driver alone writes results, and nodes need no shared folder."""
