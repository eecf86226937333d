"""Metrics of rankings and of predictions, and their bootstrap intervals."""
