"""What is wrong with a model's journals: said by whoever reads them, in the way of nobody."""

from __future__ import annotations

from ml_assets.config.settings import Settings
from ml_assets.registry.history import history_lacks, history_path, history_problems
from ml_assets.registry.pointer import pointer_path
from ml_assets.registry.promote import promotion_journal, promotion_problems
from ml_assets.registry.release_journal import release_journal
from ml_assets.release import ledger
from ml_assets.retraining import journal as retraining
from ml_assets.storage.journal import torn_end


def damages(settings: Settings, name: str) -> list[str]:
    """What is wrong with the pointer's history and the journals of promotions, releases and retraining.

    A sentence for each damaged line, with its file and number; none when every line is as it was written.
    """
    pointer = pointer_path(settings, name)
    found = [
        *history_problems(pointer),
        *promotion_problems(settings, name),
        *ledger.problems(settings, name),
        *retraining.problems(settings, name),
    ]
    said = [f"{problem}. What reads is used; restore the line from a copy" for problem in found]
    journals = (history_path(pointer), promotion_journal(settings, name), release_journal(settings, name))
    torn = (torn_end(path) for path in (*journals, retraining.retraining_journal(settings, name)))
    said += [str(problem) for problem in torn if problem]
    lacking = len(history_lacks(pointer))
    if lacking:
        said.append(f"{pointer} keeps {lacking} lines that its history lacks; they are written when the disk has room")
    return said
