"""A module that says so and takes a minute to import."""

import time

print("importing", flush=True)
time.sleep(60)
