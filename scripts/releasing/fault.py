"""What stops a release: in words, for the person who makes it."""


class Fault(Exception):
    """Nothing was published."""
