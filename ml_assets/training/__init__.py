"""Tuning and training LightGBM."""
