"""The service's metrics: whose are shown."""

import os
import subprocess
import sys

from ml_assets.config.settings import PROJECT

ALONE = """
import os, sys
from serving.http.metrics import Metrics

metrics = Metrics()
metrics.ranked.inc(3)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
print(metrics.expose().decode())
"""


def test_a_process_alone_shows_its_own_whatever_a_library_puts_into_the_environment(tmp_path):
    """Feast sets the variable when it is imported."""
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    said = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "recommend_ranked_products_total 3.0" in said.stdout
