"""The probe of a deployment, at the real server: what no model or another version answered is found."""

import pytest
from served_shop import HELD_BACK, SPEC, Served

from ml_assets.registry.release import Stage
from serving.deploy.probe import about_customers, probe

CUSTOMERS = ["u1", "u2", HELD_BACK]
ROUTE = SPEC.serving.route


def found(server: Served, version: int = 0):
    return probe(server.handle.url, ROUTE, about_customers(CUSTOMERS, server.versions[version].version, 3))


def test_right_answers_pass_whether_of_champion_canary_or_holdback(server):
    server.serve(0, deployment=950)
    assert (found(server).failures, found(server).requests) == ((), 4)
    with server.releasing(challenger=1, stage=Stage.CANARY, share=0.5):
        assert found(server).ok
    with server.releasing(challenger=1, stage=Stage.CANARY, share=1.0):
        assert found(server).ok


def test_another_version_than_the_one_deployed_is_found(server):
    server.serve(0, deployment=951)
    said = found(server, version=2)
    assert len(said.failures) == 3, "of all but the holdback"
    assert f"answered by version {server.versions[0].version} instead of" in said.text


@pytest.mark.parametrize("customer", ["u1", HELD_BACK])
def test_an_answer_without_a_model_is_found(shop, customer):
    """A server that starts with a champion that is damaged, and has no version before and none built in."""
    import threading
    import time

    import uvicorn

    from ml_assets.retrieval.index import RetrievalIndex
    from serving.config import ServiceConfig
    from serving.http.front_door import FrontDoor
    from serving.http.runtime import Runtime
    from serving.model import fallback

    fallback.save(
        fallback.from_index(RetrievalIndex.load(shop.index_folder)), fallback.popular_path(shop.settings, "ranker")
    )
    runtime = Runtime(ServiceConfig(model_name="ranker", feature_service="product_recommender"), shop.settings)
    runtime.start()
    port = shop.settings.port
    config = uvicorn.Config(FrontDoor(None, runtime), host="127.0.0.1", port=port, lifespan="off", log_level="error")
    served = uvicorn.Server(config)
    thread = threading.Thread(target=served.run, daemon=True)
    thread.start()
    while not served.started:
        time.sleep(0.01)
    try:
        said = probe(f"http://127.0.0.1:{port}", ROUTE, about_customers([customer], "v1", 3))
    finally:
        served.should_exit = True
        thread.join(10)
        runtime.stop()
    assert len(said.failures) == 2
    assert f"'{customer}', 'k': 3}}: no model answered, degraded: model" in said.failures[0]
