"""Predictions in bulk: lists of all customers, events of a spine, rows of a file."""
