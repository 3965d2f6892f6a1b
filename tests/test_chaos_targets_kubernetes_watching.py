"""What is known of a cluster stays true through cut streams, versions too old, and a server that falls silent."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("kubernetes")

from chaos.errors import InconclusiveError
from chaos.targets.kubernetes.api import Api, Frame
from chaos.targets.kubernetes.objects import ApiError, pods
from chaos.targets.kubernetes.watching import Watching
from tests.conftest import Eventually
from tests.support.fake_kubernetes import NAMESPACE, Failure, FakeKubernetes

PODS = pods(NAMESPACE)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeKubernetes]:
    with FakeKubernetes(tmp_path) as fake:
        fake.add_pod("server-0")
        yield fake


@pytest.fixture
def client(api: FakeKubernetes) -> Iterator[Api]:
    connected = Api.connect("fake", api.kubeconfig)
    yield connected
    connected.close()


def names(watching: Watching) -> list[str]:
    return sorted(item["metadata"]["name"] for item in watching.items())


def lists(api: FakeKubernetes) -> int:
    return sum(each.verb == "list" for each in api.requests)


def test_news_come_without_a_question(api: FakeKubernetes, client: Api, eventually: Eventually) -> None:
    frames: list[Frame] = []
    with Watching(client, PODS, "app=reference-server", on_frame=frames.append) as watching:
        assert names(watching) == ["server-0"]
        api.add_pod("server-1")
        api.add_pod("other", labels={"app": "other"})
        eventually(lambda: names(watching) == ["server-0", "server-1"], within_s=20)
        api.store.patch(api.key("pods", "server-1"), {"status": {"phase": "Failed"}})
        api.store.delete(api.key("pods", "server-0"))
        eventually(lambda: names(watching) == ["server-1"], within_s=20)
        [left] = watching.items()
        assert left["status"]["phase"] == "Failed"
        assert [frame.type for frame in frames] == ["ADDED", "ADDED", "MODIFIED", "DELETED"]
        assert [frame.at_s for frame in frames] == sorted(frame.at_s for frame in frames)
        assert lists(api) == 1


def test_a_stream_that_is_cut_is_taken_up_where_it_was(
    api: FakeKubernetes, client: Api, eventually: Eventually
) -> None:
    with Watching(client, PODS) as watching:
        eventually(lambda: api.watches == 1, within_s=20)
        api.cut()
        api.add_pod("server-1")
        eventually(lambda: names(watching) == ["server-0", "server-1"], within_s=20)
        assert lists(api) == 1


def test_a_version_that_is_too_old_is_had_by_a_list_and_what_changed_meanwhile_is_news(
    api: FakeKubernetes, client: Api, eventually: Eventually
) -> None:
    frames: list[Frame] = []
    with Watching(client, PODS, on_frame=frames.append) as watching:
        eventually(lambda: api.watches == 1, within_s=20)
        expired = Failure(410, path="watch=1", times=1, reason="Expired")
        api.failures.append(expired)
        api.cut()
        eventually(lambda: expired.times == 0, within_s=20)
        api.store.delete(api.key("pods", "server-0"))
        api.add_pod("server-1")
        eventually(lambda: names(watching) == ["server-1"], within_s=20)
        assert lists(api) > 1
        assert [frame.type for frame in frames if frame.item["metadata"]["name"] == "server-0"][
            -1
        ] == "DELETED"


def test_a_server_that_gives_no_sign_for_too_long_makes_the_run_inconclusive(
    api: FakeKubernetes, client: Api, eventually: Eventually
) -> None:
    with Watching(client, PODS, lost_after_s=0.5) as watching:
        api.failures.append(Failure(503, path="pods", times=math.inf, message="away"))
        api.cut()

        def lost() -> str:
            try:
                watching.require()
            except InconclusiveError as error:
                return str(error)
            return ""

        eventually(lambda: "watch is lost" in lost(), within_s=30)
        api.failures.clear()
        eventually(lambda: not lost(), within_s=30)


def test_a_time_without_a_sign_is_kept_with_its_end_and_its_reason_and_one_that_goes_on_has_none(
    api: FakeKubernetes, client: Api, eventually: Eventually
) -> None:
    with Watching(client, PODS, lost_after_s=1.0) as watching:
        assert watching.losses() == []
        api.failures.append(Failure(503, path="pods", times=math.inf, message="away"))
        api.cut()
        eventually(lambda: any("away" in loss.why for loss in watching.losses()), within_s=30)
        [loss] = watching.losses()
        assert loss.until_s is None
        assert len(watching.known()) == 1
        api.failures.clear()
        eventually(lambda: watching.losses()[0].until_s is not None, within_s=30)
        [loss] = watching.losses()
        assert loss.until_s is not None
        assert loss.until_s - loss.since_s > 1.0
        assert "away" in loss.why


def test_what_is_left_is_no_longer_lost_however_long_ago_that_was(
    api: FakeKubernetes, client: Api, eventually: Eventually
) -> None:
    with Watching(client, PODS, lost_after_s=0.3) as watching:
        eventually(lambda: api.watches == 1, within_s=20)
        api.add_pod("server-1")
        eventually(lambda: len(watching.known()) == 2, within_s=20)
    left_s = time.monotonic()
    eventually(lambda: time.monotonic() - left_s > 0.5, within_s=20)
    assert watching.losses() == []


def test_a_list_that_cannot_be_had_is_told_at_once(api: FakeKubernetes, client: Api) -> None:
    api.failures.append(Failure(403, path="pods", times=math.inf))
    with pytest.raises(ApiError, match="403"):
        Watching(client, PODS).__enter__()
