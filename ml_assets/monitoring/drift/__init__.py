"""Drift: the features and scores of a day against a reference."""
