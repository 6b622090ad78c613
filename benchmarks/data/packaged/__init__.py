"""Tasks of real images that pip packages carry, for nets of any input size: `--task packaged:NAME`."""
