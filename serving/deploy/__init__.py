"""Building, starting, probing and replacing the server."""
