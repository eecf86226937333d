from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.evaluation.apply_gate import pass_gate
from ml_assets.evaluation.evaluate import RESULT
from ml_assets.evaluation.result import AlteredResultError, EvaluationResult, Gain, PartResult, write_result
from ml_assets.registry.versions import CorruptedVersionError, VersionRef


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
        write_result(folder / RESULT, evaluated(ref, champion, low))
        passed = pass_gate(spec, settings, ref.path, folder)
        return passed.decision.promote, passed.champion

    assert judge(one, None, -0.01) == (False, None)
    assert judge(one, None, 0.01) == (True, one)
    assert judge(two, one.version, -0.01) == (False, one)
    assert judge(one, one.version, 0.5) == (False, one)  # the champion itself: nothing changes
    assert judge(two, one.version, 0.01) == (True, two)


def test_an_altered_evaluation_or_an_unsealed_version_passes_no_gate(
    settings: Settings, spec: ModelSpec, publish: Callable[[str], VersionRef]
):
    ref, result = publish("one"), settings.home / "evaluation" / RESULT
    result.parent.mkdir(parents=True)
    write_result(result, evaluated(ref, None, -0.01))
    result.write_text(result.read_text().replace("-0.01", "0.01"))
    with pytest.raises(AlteredResultError, match="evaluate the version again"):
        pass_gate(spec, settings, ref.path, result.parent)
    write_result(result, evaluated(ref, None, 0.01))
    (ref.path / "model.json.sha256").unlink()
    with pytest.raises(CorruptedVersionError, match="seal"):
        pass_gate(spec, settings, ref.path, result.parent)
