"""Candidate generation: which few hundred products are worth ranking for a customer at a moment."""
