"""What the retention tests take from other folders: a tiny shop, a landed one, lines of a log."""

import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
sys.path += [str(TESTS / name) for name in ("", "ingestion", "ingestion/connectors", "prediction_log", "retrieval")]
