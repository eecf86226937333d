"""From a version to an answer: loading, features, scoring, fallback, routing between versions."""
