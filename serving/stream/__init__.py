"""Requests from a Kafka topic, answered as over HTTP."""
