"""What wins, by how much and at what cost: the cells of Tables 1 to 3 together, as pictures."""
