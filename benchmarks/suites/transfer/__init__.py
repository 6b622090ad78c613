"""Transfer learning (paper, Table 5): nine ways to fine-tune a whole backbone, at four shares of the training data.

A method is a frozen dataclass that names an `Objective` for the one training loop; one method, one file (`methods/`).
Losses and schedule follow the scripts of thuml/Transfer-Learning-Library, from whose README the paper's baseline rows
are taken.
"""
