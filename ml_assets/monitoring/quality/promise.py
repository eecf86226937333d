"""What a version's evaluation promised, measured the way the answers are measured online.

The lists of the untouched holdout (the test part when there is none) are cut at the k that is shown, and judged
by `rates.answers_sql` like shown lists: truth is what was wanted among the first k, so that NDCG and reciprocal
rank mean the same in both places: how far up it stood, given that it was listed.

Comparable: NDCG and reciprocal rank given a hit, and the lift (the version's hit rate over popularity's on the
same lists, beside the click rate over that of the customers who are held back and get popularity).
Not comparable: the rates themselves. The holdout's truth is every purchase of a week, by customers of whom it is
known that they buy; online it is what one visit does. Position bias is the other difference: what stands on top
online is clicked more because it stands there, which lifts online NDCG for any order. The held-back customers
see lists with the same bias, the holdout's customers saw none: trust the lift first.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from ml_assets.config.model_spec import ModelSpec
from ml_assets.config.settings import Settings
from ml_assets.datasets.split import Part
from ml_assets.datasets.training_set import BASELINES, TRUTH
from ml_assets.evaluation.evaluate import LISTS, RESULT, evaluation_folder
from ml_assets.evaluation.result import CANDIDATE, read_result
from ml_assets.metrics.ranking import LIST_LENGTH
from ml_assets.monitoring.quality.rates import Estimate, Moments, answers_sql, moments
from ml_assets.monitoring.reports import Report
from ml_assets.storage.files import exact_name

POPULARITY = "popularity"

_LISTS = """
create temp table listed as
select format('{{}} {{}} {{}}', contender, {entity}, {time}) as prediction_id, contender, {entity} as customer_id,
    {entity}, {time}, {item}, rank as position
from (
    select contender, {entity}, {time}, {item}, rank from read_parquet($lists) where contender = $candidate
    union all
    select contender, {entity}, {time}, {item}, rank from read_parquet($baselines) where contender = $popularity
)
semi join (select distinct {time} from read_parquet($truth) where split = $part) using ({time})
"""
_HITS = """
create temp table hits as
select prediction_id, position, false as clicked, wanted.{item} is not null as purchased
from listed
left join (
    select distinct {entity}, {time}, {item} from read_parquet($truth) where split = $part and {label} >= $grade
) as wanted using ({entity}, {time}, {item})
"""


class Promise(Report):
    """The version's lists on `part`: hit rate, NDCG@k and reciprocal rank given a hit, and popularity's.

    `value` is the gate's `metric` as the evaluation reports it; `lift` is the hit rate over popularity's.
    """

    version: str
    part: str
    k: int
    metric: str
    value: float | None
    hit_rate: Estimate
    ndcg: Estimate
    mrr: Estimate
    popular_hit_rate: Estimate | None
    popular_ndcg: Estimate | None

    @property
    def lift(self) -> float | None:
        """Hit rate over that of popularity; None without a baseline or when it hits nothing."""
        popular = self.popular_hit_rate
        if popular is None or not popular.value or self.hit_rate.value is None:
            return None
        return self.hit_rate.value / popular.value


def promise(spec: ModelSpec, settings: Settings, version: str) -> Promise | None:
    """What the version's evaluation promises for lists of `serving.k` products (at most 20).

    None when the version was not evaluated, or its training set is no longer there.
    """
    folder = evaluation_folder(settings, spec.name, version)
    if not (folder / RESULT).exists():
        return None
    result = read_result(folder / RESULT)
    dataset = settings.model_home(spec.name) / "training_sets" / result.training_set
    files = {"lists": folder / LISTS, "baselines": dataset / BASELINES, "truth": dataset / TRUTH}
    if not all(path.exists() for path in files.values()):
        return None
    part = (Part.HOLDOUT if Part.HOLDOUT.value in result.parts else Part.TEST).value
    k = min(spec.serving.k, LIST_LENGTH)
    found = _measured(spec, settings, files, part, k)
    own, popular = found[CANDIDATE], found.get(POPULARITY)
    return Promise(
        version=version,
        part=part,
        k=k,
        metric=result.metric,
        value=result.parts[part].values[CANDIDATE].get(result.metric),
        hit_rate=own["purchase_rate"].estimate,
        ndcg=own["purchase_ndcg"].estimate,
        mrr=own["purchase_mrr"].estimate,
        popular_hit_rate=popular["purchase_rate"].estimate if popular else None,
        popular_ndcg=popular["purchase_ndcg"].estimate if popular else None,
    )


def _measured(
    spec: ModelSpec, settings: Settings, files: dict[str, Path], part: str, k: int
) -> dict[str, dict[str, Moments]]:
    names = {"entity": spec.entity, "time": spec.time, "item": spec.item, "label": spec.label}
    paths = {name: exact_name(path) for name, path in files.items()}
    with duckdb.connect(config={"threads": settings.threads, "memory_limit": settings.memory}) as connection:
        chosen = {**paths, "candidate": CANDIDATE, "popularity": POPULARITY, "part": part}
        connection.execute(_LISTS.format(**names), chosen)
        values = {"truth": paths["truth"], "part": part, "grade": spec.relevance_threshold}
        connection.execute(_HITS.format(**names), values)
        answers = "(select distinct prediction_id, contender, customer_id from listed)"
        connection.execute(f"create temp table answers as {answers_sql(answers, 'hits', k)}")
        return {str(key): found for (key,), found in moments(connection, "answers", ["contender"]).items()}
