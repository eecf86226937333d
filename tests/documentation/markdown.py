"""What a Markdown page holds: links, headings, fenced blocks, inline code."""

import re
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Its fenced blocks in that language."""
    return [text for name, text in FENCE.findall(page.read_text()) if name == language]


def prose(page: Path) -> str:
    """Everything but the fenced blocks."""
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Where its links and pictures point to."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`(?!\])", "", prose(page)))


def code(page: Path) -> list[str]:
    """Its inline code."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """The names GitHub gives its headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[str]:
    """The commands in its `sh` blocks, continued lines joined, comments dropped."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    found = [re.sub(r"\s+# .*|^#.*", "", line).strip() for line in lines]
    return [command for command in found if command]
