"""ml_assets: from raw events to a served, watched, self-renewing model in one Dagster asset graph."""
