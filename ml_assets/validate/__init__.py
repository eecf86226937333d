"""All configuration, checked as a whole before anything runs."""
