"""Tables 4 and 11: one task after the other."""
