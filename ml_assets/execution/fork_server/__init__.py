"""What the fork server of a run's steps imports, and nobody else: each of these changes the process that imports it."""
