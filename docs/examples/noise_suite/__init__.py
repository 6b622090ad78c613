"""Methods of the patching tables on test images with noise."""
