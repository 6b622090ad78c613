"""Rows of Table 5 in the paper's order, with what a reader calls them; without torch, for reports."""

LABELS = {
    "vanilla": "Vanilla",
    "lwf": "LWF",
    "bss": "BSS",
    "delta_regularizer": "DELTA",
    "co_tuning": "Co-Tuning",
    "stochnorm": "StochNorm",
    "bi_tuning": "Bi-Tuning",
    "delta_networks": "Delta",
    "bi_tuning+delta_networks": "Bi-Tuning + Delta",
}
