"""What a tick says when one model or source of several is broken: the others are asked, and the failure is seen."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from ml_assets.defs.requests import Requests, TickFailedError, answer, each_by_itself, launched


@pytest.fixture
def context() -> Iterator[dg.SensorEvaluationContext]:
    with dg.instance_for_test() as instance:
        yield dg.build_sensor_context(instance=instance)


def asked_about(broken: set[str], idle: set[str]):
    def ask(name: str) -> Requests:
        if name in broken:
            raise ValueError("journal line 3 is altered")
        yield dg.SkipReason(f"{name}: nothing to do") if name in idle else dg.RunRequest(run_key=name)

    return ask


def test_one_that_is_broken_holds_back_no_other(context: dg.SensorEvaluationContext) -> None:
    said = answer(each_by_itself(context, ["a", "b", "c"], asked_about({"b"}, set()), str))
    assert [each.run_key for each in said] == ["a", "c"]


def test_a_tick_that_asks_for_nothing_because_of_it_is_seen_as_failed(context: dg.SensorEvaluationContext) -> None:
    with pytest.raises(TickFailedError, match="b: ValueError: journal line 3 is altered; a: nothing to do"):
        answer(each_by_itself(context, ["a", "b"], asked_about({"b"}, {"a"}), str))


def test_nothing_to_do_is_no_failure(context: dg.SensorEvaluationContext) -> None:
    said = answer(each_by_itself(context, ["a", "b"], asked_about(set(), {"a", "b"}), str))
    assert said.skip_message == "a: nothing to do; b: nothing to do"


def test_a_run_is_known_by_the_key_it_was_asked_for_with() -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def small() -> None:
        nothing()

    with dg.instance_for_test() as instance:
        instance.create_run_for_job(small, tags={"dagster/run_key": "drift-1"})
        assert launched(instance, "drift-1")
        assert not launched(instance, "drift-2")
