"""The usual way to do what the project does: what its figures stand beside."""
