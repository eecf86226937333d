"""Limits on values that the service, files and the scaffold share."""

FIRST_YEAR, LAST_YEAR = 1970, 2200
"""Years that a time may be in, the last one excluded. Others could not be turned into UTC, or into nanoseconds."""
