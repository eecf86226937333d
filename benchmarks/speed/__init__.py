"""How fast the project is: each item beside its peer and its floor, in one run."""
