"""`delta-patch`: patch a net for one's own images, and use the patch, without writing Python."""
