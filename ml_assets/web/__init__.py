"""The web pages of Dagster and MLflow: the guard in front of them, and the commands that serve them."""
