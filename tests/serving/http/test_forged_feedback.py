"""A caller of the live service who wants a canary rolled back or promoted: what they report decides nothing."""

import uuid

import pytest
from log_lines import wait_until
from served_shop import SPEC

from ml_assets.config.model_spec import MonitoringSpec, QualitySpec, ReleaseSpec
from ml_assets.prediction_log import collect
from ml_assets.registry.release import Stage, bucket
from ml_assets.release import Action, judge
from ml_assets.release.observed import Step
from ml_assets.release.read import read

KNOWN = [name for number in range(40) if bucket("ranker:holdback", name := f"u{number}") >= SPEC.serving.holdback]
JUDGED = SPEC.model_copy(
    update={
        "monitoring": MonitoringSpec(quality=QualitySpec(outcomes="feedback")),
        "release": ReleaseSpec(steps=(0.5,), step_customers=5, customers=100),
    }
)


def report(server, said, product=None, **changes):
    told = {name: said[name] for name in ("prediction_id", "feedback_token")} | changes
    events = [{"product": product or said["products"][0], "event_type": "click"}]
    return server.client.post("/feedback", json={**told, "events": events}).status_code


def judged(server, release, answers, reports):
    """What the release is judged by once these answers and reports are all in the log."""
    for kind, expected in (("prediction", len(answers)), ("outcome", reports)):
        wait_until(lambda: sum(line["prediction_id"] in answers for line in server.lines(kind=kind)) == expected)  # noqa: B023
    collect(server.shop.settings, SPEC.name)
    seen = read(server.shop.settings, JUDGED, release, (Step(1, release.share, release.changed_at),))
    return seen, judge(JUDGED, release, seen)


@pytest.mark.parametrize("arm", ["canary", "champion"])
def test_a_release_is_not_decided_by_what_a_caller_makes_up(server, ask, arm):
    server.serve(0, deployment=960)
    champion, challenger = server.versions[:2]
    release = server.shop.release(champion, challenger, Stage.CANARY, 0.5)
    release = server.advance(release.model_copy(update={"release_id": f"forged-{arm}", "salt": f"a salt of the {arm}"}))
    try:
        honest = [ask(customer=customer, k=3).json() for customer in KNOWN]
        reported = honest[::3]
        assert [report(server, said) for said in reported] == [202] * len(reported)
        before, verdict = judged(server, release, {said["prediction_id"] for said in honest}, len(reported))
        target = challenger.version if arm == "canary" else champion.version
        for _ in range(100):
            assert report(server, honest[0], prediction_id=uuid.uuid4().hex) == 403
        strangers = [ask(customer=f"{arm} {number}", k=3).json() for number in range(100)]
        invented = [said for said in strangers if said["model_version"] == target]
        assert [report(server, said) for said in invented] == [202] * len(invented)
        replayed = next(said for said in reported if said["model_version"] == target)
        never_shown = next(said for said in honest[1::3] if said["model_version"] == target)
        for _ in range(20):
            assert report(server, replayed) == report(server, never_shown, product="no-such") == 202
        answers = {said["prediction_id"] for said in honest + strangers}
        after, forged = judged(server, release, answers, len(reported) + len(invented) + 40)
    finally:
        server.shop.release_file.unlink()
        wait_until(lambda: server.ready()["release"] is None)
    assert after.drawn == before.drawn
    assert sum(each.canary + each.champion for each in after.drawn) == len(KNOWN)
    assert sum(each.canary_clicked + each.champion_clicked for each in after.drawn) == len(reported)
    assert forged.action is verdict.action is Action.WAITING
    assert after.feedback.strays == 1
