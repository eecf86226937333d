"""Which of LightGBM's parameters a model's YAML may set, and which values they take; the others are said elsewhere.

LightGBM itself passes over a name that it does not know, and over an alias of a name that is set already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ml_assets.config.yaml_file import nearest

Range = tuple[float, float]
"""Least and largest value."""
SHARE, COUNT, WEIGHT = (1e-6, 1.0), (0, 10**9), (0, 1e9)

NUMBERS: Mapping[str, Range] = {
    "learning_rate": (1e-6, 10), "num_leaves": (2, 131072), "max_depth": (-1, 1000), "min_data_in_leaf": COUNT,
    "min_sum_hessian_in_leaf": WEIGHT, "min_gain_to_split": WEIGHT, "feature_fraction": SHARE,
    "feature_fraction_bynode": SHARE, "bagging_fraction": SHARE, "bagging_freq": COUNT, "lambda_l1": WEIGHT,
    "lambda_l2": WEIGHT, "linear_lambda": WEIGHT, "path_smooth": WEIGHT, "max_delta_step": (-1e9, 1e9),
    "max_bin": (2, 65535), "min_data_in_bin": (1, 10**9), "bin_construct_sample_cnt": (1, 10**9), "top_rate": (0, 1),
    "other_rate": (0, 1), "drop_rate": (0, 1), "skip_drop": (0, 1), "max_drop": (-1, 10**6), "cat_l2": WEIGHT,
    "cat_smooth": WEIGHT, "max_cat_threshold": (1, 10**6), "max_cat_to_onehot": (1, 10**6),
    "min_data_per_group": (1, 10**9), "monotone_penalty": WEIGHT, "cegb_tradeoff": WEIGHT, "cegb_penalty_split": WEIGHT,
    "num_grad_quant_bins": (2, 1024),
}  # fmt: skip
OTHERS = frozenset(
    {
        "boosting", "data_sample_strategy", "extra_trees", "linear_tree", "use_missing", "zero_as_missing",
        "enable_bundle", "boost_from_average", "monotone_constraints", "monotone_constraints_method",
        "interaction_constraints", "feature_contri", "max_bin_by_feature", "uniform_drop", "xgboost_dart_mode",
        "use_quantized_grad",
        "quant_train_renew_leaf", "stochastic_rounding", "cegb_penalty_feature_lazy", "cegb_penalty_feature_coupled",
    }
)  # fmt: skip
"""Words, switches and lists."""
OF_TASK: Mapping[str, Mapping[str, Range | None]] = {
    "ranking": {
        "lambdarank_truncation_level": (1, 10**6), "lambdarank_norm": None, "label_gain": None, "sigmoid": (1e-6, 1e3),
        "lambdarank_position_bias_regularization": WEIGHT, "bagging_by_query": None,
    },
    "binary": {
        "scale_pos_weight": (1e-9, 1e9), "is_unbalance": None, "sigmoid": (1e-6, 1e3), "pos_bagging_fraction": SHARE,
        "neg_bagging_fraction": SHARE,
    },
    "regression": {"reg_sqrt": None},
}  # fmt: skip
"""Parameters that mean something to one task's objective only; None: no number."""
ELSEWHERE: Mapping[str, str] = {
    "objective": "`task` says what is minimised",
    "metric": "`gate.metric` says what is compared",
    "seed": "say `training.seed`",
    "num_iterations": "say `training.rounds`",
    "early_stopping_round": "say `training.early_stopping`",
    "num_threads": "say ML_ASSETS_THREADS",
    "deterministic": "every training is",
    "force_row_wise": "every training is",
    "force_col_wise": "every training is row-wise, for equal bits",
    "feature_pre_filter": "one binned data set serves every tuned value",
    "verbosity": "the run's log says what happens",
}
"""Parameters that are set for every training, and what says them."""
ALIASES: Mapping[str, str] = {
    "learning_rate": "eta shrinkage_rate", "num_leaves": "max_leaf num_leaf max_leaves max_leaf_nodes",
    "min_data_in_leaf": "min_data min_samples_leaf min_child_samples min_data_per_leaf",
    "min_sum_hessian_in_leaf": "min_hessian min_sum_hessian min_child_weight min_sum_hessian_per_leaf",
    "min_gain_to_split": "min_split_gain", "feature_fraction": "sub_feature colsample_bytree",
    "feature_fraction_bynode": "colsample_bynode sub_feature_bynode", "bagging_fraction": "bagging sub_row subsample",
    "bagging_freq": "subsample_freq", "lambda_l1": "reg_alpha l1_regularization",
    "lambda_l2": "lambda reg_lambda l2_regularization", "max_delta_step": "max_leaf_output max_tree_output",
    "max_bin": "max_bins", "bin_construct_sample_cnt": "subsample_for_bin", "drop_rate": "rate_drop",
    "monotone_penalty": "mc_penalty ms_penalty monotone_splits_penalty", "boosting": "boost boosting_type",
    "extra_trees": "extra_tree", "linear_tree": "linear_trees", "enable_bundle": "bundle is_enable_bundle",
    "monotone_constraints": "mc monotonic_cst monotone_constraint", "is_unbalance": "unbalance unbalanced_sets",
    "monotone_constraints_method": "mc_method monotone_constraining_method",
    "feature_contri": "fc fp feature_contrib feature_penalty",
    "pos_bagging_fraction": "pos_bagging pos_sub_row pos_subsample",
    "neg_bagging_fraction": "neg_bagging neg_sub_row neg_subsample",
    "objective": "app loss application objective_type", "metric": "metrics metric_types",
    "seed": "random_seed random_state", "num_threads": "n_jobs nthread nthreads num_thread", "verbosity": "verbose",
    "num_iterations": "n_iter nrounds max_iter num_tree num_round num_trees num_rounds n_estimators num_iteration "
    "num_boost_round",
    "early_stopping_round": "early_stopping n_iter_no_change early_stopping_rounds",
}  # fmt: skip


def wrong_parameters(params: Mapping[str, Any], task: str) -> Iterator[tuple[str, str]]:
    """Each parameter that would do nothing, or has a value that cannot be, with what to do instead.

    Args:
        params: `training.params` of a model's YAML.
        task: what the model predicts.
    """
    meant = {alias: name for name, aliases in ALIASES.items() for alias in aliases.split()}
    known: dict[str, Range | None] = {**NUMBERS, **dict.fromkeys(OTHERS), **OF_TASK[task]}
    for said, value in params.items():
        name = meant.get(said, said)
        if name in ELSEWHERE:
            yield said, f"it would do nothing here: {ELSEWHERE[name]}; take it out"
        elif name not in known:
            others = [each for each, names in OF_TASK.items() if name in names]
            told = f"for {others[0]} only, and task is {task}" if others else "no parameter that can be set here"
            yield said, told if others else f"{told}{nearest(said, known)}"
        elif name != said:
            yield said, f"this is another name of {name!r}, which wins over it: say {name}"
        elif (bounds := known[name]) is not None and not _within(value, bounds):
            yield said, f"must be a number from {bounds[0]:g} to {bounds[1]:g}, not {value!r}"


def _within(value: Any, bounds: Range) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bounds[0] <= value <= bounds[1]
