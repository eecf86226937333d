"""The model server: a BentoML service that follows a pointer file, and what builds, starts and stops it."""
