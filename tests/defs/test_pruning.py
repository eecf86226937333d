"""The job `prune`: what it removed is in its metadata."""

import os
import time

import dagster as dg

from ml_assets.defs.jobs import prune


def test_the_job_removes_what_is_old_and_says_how_much(tmp_path, monkeypatch):
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    old, new = (tmp_path / "simulated" / "logs" / f"{name}.log" for name in ("old", "new"))
    old.parent.mkdir(parents=True)
    for path in (old, new):
        path.write_text("x" * 1000)
    os.utime(old, (time.time() - 100 * 86400,) * 2)
    with dg.instance_for_test() as instance:
        done = prune.execute_in_process(instance=instance)
        [said] = [
            event.step_output_data.metadata for event in done.all_events if event.event_type_value == "STEP_OUTPUT"
        ]
    assert said["bytes"].value == said["logs_bytes"].value == 1000
    assert [path.name for path in old.parent.iterdir()] == ["new.log"]
