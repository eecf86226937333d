"""Pages of the daily reports."""
