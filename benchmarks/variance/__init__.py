"""Why all skips need a BatchNorm (paper, Appendix 6): variance by depth, derived and measured; docs/variance.md."""
