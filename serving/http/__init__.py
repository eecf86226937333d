"""The HTTP side: admission, limits, routes, feedback, metrics, workers."""
