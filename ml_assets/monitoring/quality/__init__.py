"""Quality: what became of answers, against what the evaluation promised."""
