"""Contestants that run in a process of their own."""

from pathlib import Path


def allocate(mebibytes):
    held = b"x" * (mebibytes * 2**20)
    return {"seconds": 0.5, "held": len(held)}


def fail():
    raise ValueError("no such thing")


def tell(path, name):
    told = Path(path)
    before = told.read_text().split() if told.exists() else []
    told.write_text(" ".join([*before, name]))
    return {"seconds": float(len(before) + 1)}
