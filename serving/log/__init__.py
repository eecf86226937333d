"""The prediction log as the service writes it."""
