"""Tables 1, 2, 3, 8, 10, 12 and 13, our ablations and studies: one task, one method, one net."""
