"""What every report shares: figures, and the page of how two tables differ."""
