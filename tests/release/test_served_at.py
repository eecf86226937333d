"""What served when, by the journals alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from release_traffic import NAME, Shop, small_spec

from ml_assets.config.settings import Settings
from ml_assets.registry.history import write_pointer
from ml_assets.release import begin, control, roll_back, served_at, step
from ml_assets.release.observed import Answers, ArmData, Drawn
from ml_assets.release.served import Part

SPEC = small_spec()


def now() -> datetime:
    return datetime.now(UTC)


def test_before_the_first_deployment_it_says_so(settings: Settings):
    nothing = served_at(settings, NAME, now())
    assert nothing.parts == ()
    assert "nothing has been deployed yet" in nothing.text
    shop = Shop(settings)
    shop.deploy("a")
    before = served_at(settings, NAME, datetime(2020, 1, 1))
    assert before.parts == ()
    assert "the first deployment was at" in before.text


def test_every_stage_of_a_release_and_what_followed(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    seen = ArmData(Answers(500), Answers(500), (Drawn(0.5, 300, 300, 150, 100, 1, 0),), 1)
    monkeypatch.setattr(control, "pay", lambda settings, spec: None)
    monkeypatch.setattr(control, "read", lambda *given: seen)
    moments = {"deployed": now()}
    begin(shop.settings, SPEC, shop.version("b").path, "test")
    moments["shadow"] = now()
    for name in ("fifth", "half", "promoted"):
        step(shop.settings, SPEC)
        moments[name] = now()
    shop.deploy("b", index="tuesday", day=1)
    moments["refreshed"] = now()
    roll_back(shop.settings, SPEC, "errors")
    moments["back"] = now()

    a, b = shop.version("a").version, shop.version("b").version
    found = {name: served_at(shop.settings, NAME, moment) for name, moment in moments.items()}
    assert {name: each.parts for name, each in found.items()} == {
        "deployed": (Part(a, 1.0),),
        "shadow": (Part(a, 1.0),),
        "fifth": (Part(a, 0.8), Part(b, 0.2)),
        "half": (Part(a, 0.5), Part(b, 0.5)),
        "promoted": (Part(b, 1.0),),
        "refreshed": (Part(b, 1.0),),
        "back": (Part(a, 1.0),),
    }
    assert (found["shadow"].shadow, found["fifth"].shadow) == (b, None)
    assert found["promoted"].index != found["refreshed"].index == found["back"].index
    assert found["promoted"].why == f"release {found['half'].release_id}"
    assert found["back"].why == "errors"
    assert f"{a} for 80% of the customers, {b} for 20% of the customers" in found["fifth"].text
    naive = moments["half"].replace(tzinfo=None)
    assert served_at(shop.settings, NAME, naive) == found["half"]


def test_a_deployment_that_was_noted_and_never_swapped_in_did_not_serve(shop: Shop):
    served = shop.path.read_bytes()
    shop.deploy("b")
    shop.path.write_bytes(served)
    a = shop.version("a").version
    assert served_at(shop.settings, NAME, now()).parts == (Part(a, 1.0),)
    c = shop.deploy("c")
    assert served_at(shop.settings, NAME, now()).parts == (Part(c.model_version, 1.0),)
    assert served_at(shop.settings, NAME, now() - timedelta(days=1)).parts == ()


def test_a_stale_release_did_not_serve(shop: Shop):
    begin(shop.settings, small_spec(shadow_answers=0), shop.version("b").path, "test")
    pointer = shop.deploy("c")
    assert served_at(shop.settings, NAME, now()).parts == (Part(pointer.model_version, 1.0),)
    write_pointer(shop.path, pointer.model_copy(update={"model_version": shop.version("a").version}))
    assert len(served_at(shop.settings, NAME, now()).parts) == 2
