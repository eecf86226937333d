"""What this deployment has."""
