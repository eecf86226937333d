"""Who is erased in these tests, and somebody whose id begins so."""

from ml_assets.retention.subject import Subject

GONE, OTHER = "C-0042", "C-00421"
"""Who is erased, and somebody whose id begins so."""
WHO = Subject("customer_id", GONE, frozenset({"customer_id", "customer"}))


def bytes_of(home, text=GONE):
    """Files with the id in their bytes, which is not followed by a digit."""
    return [path for path in home.rglob("*") if path.is_file() and WHO.pattern.search(path.read_bytes())]
