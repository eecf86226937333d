"""Training sets, indexes and bentos without an erased entity: whole, and as good for everybody else."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from answer_lines import DAY
from tiny_history import AS_OF, make_catalogue, make_interactions
from tiny_training_set import small_spec, write_dataset

from ml_assets.config.model_spec import model_specs
from ml_assets.config.retrieval_config import RetrievalSpec
from ml_assets.retention.subject import Subject
from ml_assets.retention.trained import NOTE, clean_indexes, clean_training_sets, without_customer
from ml_assets.retrieval.index import RetrievalIndex, build_index


def test_a_training_set_stays_whole_says_so_and_survives_a_kill(settings, monkeypatch):
    model = model_specs()[0].name
    home = settings.model_home(model) / "training_sets"
    dataset = write_dataset(home / "0123456789abcdef", small_spec())
    customer = pq.read_table(dataset.path / "truth.parquet", columns=["customer_id"])["customer_id"][0].as_py()
    who = Subject("customer_id", customer, frozenset({"customer_id"}))
    rows = pq.read_metadata(dataset.path / "rows.parquet").num_rows
    with monkeypatch.context() as patch:
        patch.setattr("ml_assets.retention.trained._finish", lambda folder: None)
        clean_training_sets(settings, model, who)
    assert (dataset.path / NOTE).exists()
    clean_training_sets(settings, model, who)
    from ml_assets.datasets.training_set import DatasetRef

    again = DatasetRef(dataset.path)
    assert again.altered() == []
    assert again.manifest.erased > 0
    assert pq.read_metadata(dataset.path / "rows.parquet").num_rows < rows
    assert not [path for path in dataset.path.iterdir() if path.name.startswith(".")]
    for path in dataset.path.glob("*.parquet"):
        assert not who.rows(pq.read_table(path)).any()


@pytest.fixture(scope="module")
def index():
    return build_index(make_interactions(), make_catalogue(), AS_OF, RetrievalSpec(total=15))


def test_an_index_without_a_customer_answers_others_as_before_and_the_customer_as_a_stranger(index, tmp_path):
    gone = index.customers[int(index.neighbour[0])]
    less = without_customer(index, gone)
    less.save(tmp_path)
    assert gone.encode() not in (tmp_path / "index.json").read_bytes()
    less = RetrievalIndex.load(tmp_path)
    assert len(less.customers) == len(index.customers) - 1
    assert [less.customers[at_] for at_ in less.neighbour] == [
        index.customers[at_] for at_ in index.neighbour if index.customers[at_] != gone
    ]
    for name in less.customers:
        here, there = less.customer_positions[name], index.customer_positions[name]
        assert (less.bought[here] != index.bought[there]).nnz == 0
        assert (less.seen[here] != index.seen[there]).nnz == 0
    stranger, unknown_one = less.candidates([gone]), less.candidates(["nobody"])
    assert stranger.product.tolist() == unknown_one.product.tolist()


def test_the_pointer_follows_the_index_and_the_old_one_goes(index, settings, tmp_path):
    from ml_assets.registry.history import write_pointer
    from ml_assets.registry.pointer import make_pointer, pointer_path, read_pointer, verify_pointer
    from ml_assets.registry.versions import publish_version
    from ml_assets.retrieval.publish import publish_built

    model = model_specs()[0].name
    ref = publish_version(
        settings, model, "tree", "run", features=(), params={}, training_set="t", metrics={}, created_from={}
    )
    (home := settings.model_home(model) / "indexes").mkdir(parents=True)
    folder = publish_built(index, home)
    (online := tmp_path / "online.db").touch()
    write_pointer(
        pointer_path(settings, model),
        make_pointer(
            model_name=model, model_version=ref.version, version_folder=ref.path, index_folder=folder,
            online_store=online, as_of=AS_OF, deployed_at=DAY,
        ),
    )  # fmt: skip
    who = Subject("customer_id", index.customers[3], frozenset({"customer_id"}))
    assert clean_indexes(settings, model, who) == 1
    pointer = read_pointer(pointer_path(settings, model))
    verify_pointer(pointer)
    assert [path.name for path in home.iterdir()] == [pointer.index_path.name]
    assert who.id not in RetrievalIndex.load(pointer.index_path).customers
    assert clean_indexes(settings, model, who) == 0


def test_the_index_in_a_bento_is_made_without_the_customer_and_named_by_its_new_hash(index, settings, monkeypatch):
    from ml_assets.registry.pointer import sha256_folder
    from ml_assets.retention import trained

    model = model_specs()[0].name
    baked = settings.bentoml_home / "bentos" / model / "0123456789abcdef" / "src" / "baked"
    (baked / "index").mkdir(parents=True)
    index.save(baked / "index")
    (baked / "service.json").write_text(json.dumps({"baked": {"index_sha256": sha256_folder(baked / "index")}}))
    who = Subject("customer_id", index.customers[3], frozenset({"customer_id"}))
    with monkeypatch.context() as patch:  # killed when the old one is aside and the new one not yet in its place
        patch.setattr("pathlib.Path.rename", renamed_once())
        with pytest.raises(KeyboardInterrupt):
            trained.clean_bentos(settings, model, who)
    assert not (baked / "index").exists()
    trained.clean_bentos(settings, model, who)
    assert who.id not in RetrievalIndex.load(baked / "index").customers
    said = json.loads((baked / "service.json").read_text())
    assert said["baked"]["index_sha256"] == sha256_folder(baked / "index")
    assert sorted(path.name for path in baked.iterdir()) == ["index", "service.json"]
    assert trained.clean_bentos(settings, model, who) == 0


def renamed_once():
    done, rename = [], Path.rename

    def renamed(path, target):
        if done:
            raise KeyboardInterrupt
        done.append(path)
        return rename(path, target)

    return renamed
