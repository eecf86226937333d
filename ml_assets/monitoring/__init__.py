"""Watching a deployed model: drift, quality, skew and service level, from the daily tables of its predictions."""
