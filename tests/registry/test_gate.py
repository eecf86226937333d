from __future__ import annotations

from collections.abc import Callable
from datetime import date

from ml_assets.learning.evaluate import RESULT
from ml_assets.learning.evaluation import EvaluationResult, Gain, PartResult
from ml_assets.learning.spec import ModelSpec
from ml_assets.registry.gate import pass_gate
from ml_assets.registry.versions import VersionRef
from ml_assets.settings import Settings


def evaluated(ref: VersionRef, champion: str | None, low: float) -> EvaluationResult:
    reference = "champion" if champion else "ease"
    gain = Gain(gain=low + 0.01, low=low, high=low + 0.02, customers=9, groups=9)
    part = PartResult(
        decisions=(date(2011, 11, 14),),
        customers=9,
        groups=9,
        relevant=9,
        ceiling=0.7,
        values={"candidate": {"ndcg_10": 0.3}, reference: {"ndcg_10": 0.2}},
        gains={reference: {"ndcg_10": gain}},
        by_decision={"candidate": (0.3,), reference: (0.2,)},
        slices=(),
    )
    return EvaluationResult(
        model=ref.name,
        version=ref.version,
        run_id=ref.run_id,
        training_set="t",
        champion=champion,
        reference=reference,
        metric="ndcg_10",
        confidence=0.95,
        parts={"test": part},
    )


def test_the_gate_keeps_promotes_and_keeps_again(
    settings: Settings, spec: ModelSpec, publish: Callable[[str], VersionRef]
):
    one, two = publish("one"), publish("two")

    def judge(ref: VersionRef, champion: str | None, low: float) -> tuple[bool, VersionRef | None]:
        folder = settings.home / ref.version
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RESULT).write_text(evaluated(ref, champion, low).model_dump_json())
        passed = pass_gate(spec, settings, ref.path, folder)
        return passed.decision.promote, passed.champion

    assert judge(one, None, -0.01) == (False, None)
    assert judge(one, None, 0.01) == (True, one)
    assert judge(two, one.version, -0.01) == (False, one)
    assert judge(one, one.version, 0.5) == (False, one)  # the champion itself: nothing changes
    assert judge(two, one.version, 0.01) == (True, two)
