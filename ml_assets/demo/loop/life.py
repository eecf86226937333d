"""The steps of the loop, in order, each of which must happen."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from ml_assets.config.model_spec import model_specs
from ml_assets.config.settings import SHOP, Settings
from ml_assets.demo.loop.bad_model import train_bad_model
from ml_assets.demo.loop.crowd import Crowd, DayOfTraffic
from ml_assets.demo.loop.graph import Graph, daemon, fresh_cut
from ml_assets.demo.loop.story import Point, Teller, must
from ml_assets.registry.pointer import pointer_path, require_pointer
from ml_assets.registry.versions import load_version
from ml_assets.release import begin
from ml_assets.simulation.spec import SimulationSpec
from ml_assets.storage import journal
from ml_assets.storage.files import write_text_atomically
from ml_assets.storage.warehouse import some_customers

HEALTHY = 6
"""Days served before the world changes: three to compare with, three to be judged."""
NOTICED_WITHIN = 2
"""Days of the changed world after which the watch must have noticed."""
LEARNABLE_AFTER = 21
"""Days until weekly decisions made in the changed world have complete labels: to learn from and to be tested on."""
VISITS = 700
"""Customers who ask on a day."""
FEW_VISITS = 100
"""Customers who ask on a day of the weeks that pass quickly."""
SLOW = ("drift", "skew", "service_level")
"""What watches those weeks is the quality alone: the rest would take minutes and tell the same story."""
RECOVERED = 0.5
"""Share of the lost click rate that must be won back."""
PATIENCE = 240.0
"""Seconds that a retraining or a release gets."""

DAY = timedelta(days=1)


class Life:
    """One shop, one model, one life."""

    def __init__(self, settings: Settings, simulation: SimulationSpec, teller: Teller) -> None:
        assert simulation.scenario is not None  # noqa: S101  # asked by the caller
        self.settings, self.simulation, self.teller = settings, simulation, teller
        self.story, self.spec = teller.story, model_specs(SHOP)[0]
        self.changed = simulation.scenario.day
        self.crowd: Crowd
        self.graph: Graph

    def live(self) -> None:
        """Live through it all.

        Raises:
            StepMissed: when a step does not happen.
        """
        with dg.DagsterInstance.get() as instance:
            self.graph = Graph(instance, self.settings.shop_home / "logs" / "days.log")
            self._open_the_shop()
            with daemon(self.settings):
                self._healthy_days()
                self._world_changes()
                self._weeks_pass()
                self._retrained()
                self._released()
                self._bad_model_stopped()
        self.crowd.close()

    def _open_the_shop(self) -> None:
        last = self.changed - (HEALTHY + 1) * DAY
        with self.teller.step("the main job: raw events to a served model", last) as said:
            self._run("ingest", self.simulation.start, last)
            self._run("train", last, last, without=("batch_predictions",), ops=fresh_cut(self.spec.name))
            customers = some_customers(self.settings, 100_000)
            told, route = self.settings.key_header, self.spec.serving.route
            self.crowd = Crowd(self.simulation, self.settings.url, route, customers, headers=told)
            said.append(f"version {self._serving()} serves {len(customers):,} active customers")

    def _healthy_days(self) -> None:
        half = HEALTHY // 2
        for first in (self.changed - HEALTHY * DAY, self.changed - half * DAY):
            with self.teller.step("healthy days", first + (half - 1) * DAY) as said:
                alarms = self._days(first, half, said)
                must(not alarms, f"an alarm on healthy days: {alarms}")
                said.append("no alarm")

    def _world_changes(self) -> None:
        with self.teller.step(f"the world changes: {self.story.scenario}", self.changed) as said:
            alarms = self._days(self.changed, NOTICED_WITHIN, said)
            must(bool(alarms), f"nothing noticed within {NOTICED_WITHIN} days")
            self.story.curve[-1].alarms.extend(alarms)
            said.append(f"noticed: {'; '.join(alarms.values())}")
        with self.teller.step("the drift sensor decides", self.changed + NOTICED_WITHIN * DAY) as said:
            said.append(self._journalled("decided", cause="quality")["reason"])

    def _weeks_pass(self) -> None:
        first, last = self.changed + NOTICED_WITHIN * DAY, self.changed + (LEARNABLE_AFTER - 1) * DAY
        with self.teller.step("weeks pass; features and index are renewed at their end", last) as said:
            alarms = self._days(first, (last - first).days + 1, said, FEW_VISITS, without=SLOW)
            self.story.curve[-1].alarms.extend(alarms)

    def _retrained(self) -> None:
        day = self.changed + LEARNABLE_AFTER * DAY
        with self.teller.step("the drift sensor retrains", day) as said:
            tags = {"ml_assets/model": self.spec.name, "dagster/sensor_name": "drift_sensor"}
            run = self.graph.wait_for_run(tags, PATIENCE, self._tell)
            said.append(f"cause: {run.tags['ml_assets/cause']} ({run.tags['ml_assets/reason']})")
            said.append(self._journalled("refit", helps=True)["reason"])

    def _released(self) -> None:
        day, old = self.changed + LEARNABLE_AFTER * DAY, self._serving()
        with self.teller.step("shadow, canary, promotion", day) as said:
            found = self._release_under_traffic(day)
            must(found["event"] == "promoted", f"the release ended as {found['event']}: {found['reason']}")
            must(self._serving() != old, "the pointer still names the old version")
            said.append(found["reason"])
        with self.teller.step("recovery", day) as said:
            said.append(self._recovery(day, old))

    def _recovery(self, day: date, old: str) -> str:
        """Ask with the new champion alone and compare with before, the low, and what the old one reached by now."""
        after = DayOfTraffic(day)
        for _ in self.crowd.stream(day, self.crowd.visitors(day + DAY, VISITS), after):
            pass
        before = [point.click_rate for point in self.story.curve if point.day < self.changed]
        healthy, low = sum(before) / len(before), min(point.click_rate for point in self.story.curve)
        versions = self.story.curve[-1].by_version
        rates = {version: clicked / answers for version, (answers, clicked) in versions.items() if answers}
        share = (after.click_rate - low) / (healthy - low)
        self.story.figures |= {
            "click_rate_healthy": healthy,
            "click_rate_lowest": low,
            "click_rate_old_model_at_release": rates.get(old, float("nan")),
            "click_rate_new_model": after.click_rate,
            "share_of_the_loss_recovered": share,
        }
        must(share >= RECOVERED, f"only {share:.0%} of the lost click rate came back")
        must(after.click_rate > rates.get(old, 0.0), "the new model does no better than the old one did that day")
        return (
            f"click rate {healthy:.3f} before, {low:.3f} at worst; on this day the old model reached "
            f"{rates.get(old, 0.0):.3f}, the new one {after.click_rate:.3f}"
        )

    def _bad_model_stopped(self) -> None:
        day, good = self.changed + LEARNABLE_AFTER * DAY, self._serving()
        with self.teller.step("a bad model is sent out on purpose", day) as said:
            pointer = require_pointer(pointer_path(self.settings, self.spec.name))
            bad = train_bad_model(self.spec, self.settings, load_version(pointer.model_path))
            begin(self.settings, self.spec, bad, reason="bad on purpose")
            found = self._release_under_traffic(day, offset=2)
            must(found["event"] in {"rolled_back", "stopped"}, f"it ended as {found['event']}: {found['reason']}")
            must(self._serving() == good, "the good version no longer serves")
            said.append(found["reason"])
        with self.teller.step("the night after, the gate still names the bad model", day) as said:
            said.append(self._night_after(day, bad, good))

    def _night_after(self, day: date, bad: Path, good: str) -> str:
        """Run the nightly job with the bad model as the gate's champion: the good one goes on serving, and says so."""
        reference = self.settings.shop_home / "references" / self.spec.name / "champion.json"
        before = reference.read_text()
        write_text_atomically(reference, json.dumps({"version": bad.name, "path": str(bad)}))
        try:
            failed = self._run("daily", day - DAY, day - DAY, without=SLOW)
        finally:
            write_text_atomically(reference, before)
        why = failed.get(f"{self.spec.name}/deployment: champion_allowed", "")
        must(bad.name in why, f"the deployment did not refuse the bad model: {failed}")
        must(self._serving() == good, "the bad model came back")
        return why

    def _release_under_traffic(self, day: date, offset: int = 0) -> dict[str, Any]:
        """Let customers come until the release under way has ended; return how."""
        path = self.settings.model_home(self.spec.name) / "releases.jsonl"
        told, found, deadline = len(journal.read(path)) - 1, DayOfTraffic(day), time.monotonic() + PATIENCE
        visitors = self.crowd.visitors(day + offset * DAY, 100_000)
        while time.monotonic() < deadline:
            for _ in self.crowd.stream(day, visitors, found, pause=0.1):
                entries = journal.read(path)
                for entry in entries[told:]:
                    self._tell(f"{entry['event']}: {entry['reason']}")
                told = len(entries)
                if entries and entries[-1]["event"] in {"promoted", "rolled_back", "held", "stopped"}:
                    self._keep(found)
                    return entries[-1]
        self._keep(found)
        must(False, f"the release did not end within {PATIENCE:.0f} s; last: {journal.read(path)[-1:]}")
        raise AssertionError

    def _days(
        self, first: date, count: int, said: list[str], visits: int = VISITS, without: Sequence[str] = ()
    ) -> dict[str, str]:
        """Let customers come on some days, then run the days through the graph; return the watch's alarms."""
        for day in (first + n * DAY for n in range(count)):
            self._keep(self.crowd.live(day, self.crowd.visitors(day, visits)))
        rates = ", ".join(f"{point.click_rate:.3f}" for point in self.story.curve[-min(count, 3) :])
        said.append(f"{count * visits:,} answers, click rate {'… ' if count > 3 else ''}{rates}")
        failed = self._run("daily", first, first + (count - 1) * DAY, without=without)
        watched = ("no_persistent_drift", "no_loss", "usual_traffic")
        alarms = {check: text for check, text in failed.items() if check.endswith(watched)}
        foreseen = ("split_fits",)  # a shop of 90 days: its trainings take the fresh cut instead of the whole split
        others = {check: text for check, text in failed.items() if check not in alarms and not check.endswith(foreseen)}
        must(not others, f"checks failed: {others}")
        return alarms

    def _keep(self, found: DayOfTraffic) -> None:
        must(not found.failures, f"{len(found.failures)} requests failed, first: {found.failures[:1]}")
        point = Point(day=found.day, answers=found.answers, click_rate=found.click_rate, by_version=found.by_version)
        self.story.curve.append(point)

    def _run(self, job: str, first: date, last: date, **options: Any) -> dict[str, str]:
        began = time.monotonic()
        failed = self.graph.run(job, first, last, **options)
        self._tell(f"job {job} {first} to {last}: {time.monotonic() - began:.0f} s")
        return failed

    def _journalled(self, event: str, **said: Any) -> dict[str, Any]:
        """Wait until the retraining journal has an entry that says so, and return the newest."""
        path = self.settings.model_home(self.spec.name) / "retraining.jsonl"
        deadline = time.monotonic() + PATIENCE / 4
        while time.monotonic() < deadline:
            for entry in reversed(journal.read(path)):
                if entry["event"] == event and all(entry.get(key) == value for key, value in said.items()):
                    return entry
            time.sleep(0.5)
        must(False, f"the retraining journal has no entry {event!r}: {journal.read(path)[-2:]}")
        raise AssertionError

    def _serving(self) -> str:
        return require_pointer(pointer_path(self.settings, self.spec.name)).model_version

    def _tell(self, text: str) -> None:
        self.teller.console.print(f"             {text}", soft_wrap=True)
