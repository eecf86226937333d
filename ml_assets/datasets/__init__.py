"""Training sets: cutoffs, split, features, labels, baselines, leakage, and where a set came from."""
