"""A shop's whole life in minutes: healthy days, a changed world, retraining, release, recovery, a bad model stopped."""
