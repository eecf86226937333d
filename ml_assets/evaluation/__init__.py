"""Evaluating a version beside the champion and the baselines, the gate, and the report."""
