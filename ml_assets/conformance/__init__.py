"""The conformance suite: what any model of a deployment must be, looked at with its real champion, data and server."""
