"""Training-serving skew: served features against the same features recomputed offline."""
