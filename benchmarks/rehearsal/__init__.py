"""Every table at scale paper on look-alike data with random weights, before anybody has a GPU."""
