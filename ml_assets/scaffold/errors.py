"""What stops a scaffold before anything is written."""


class ScaffoldError(ValueError):
    """The file, an answer or a name does not do; the text says what is wrong and what to do."""
