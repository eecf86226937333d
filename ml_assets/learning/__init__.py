"""Training set, tuning, training, evaluation and the gate: the life of a model before it serves."""
