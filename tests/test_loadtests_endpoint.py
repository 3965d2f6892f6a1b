import pytest

from loadtests.endpoint import Endpoint, first_model, without_key
from tests.support.scripted_server import ScriptedServer


@pytest.mark.parametrize(
    ("url", "authority", "prefix"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", ""),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000", ""),
        ("http://gateway", "gateway", ""),
        ("http://gateway:80", "gateway", ""),
        ("https://gateway", "gateway", ""),
        ("https://gateway:8443/team/a", "gateway:8443", "/team/a"),
        ("https://gateway/v1", "gateway", ""),
        ("https://gateway/team/v1/", "gateway", "/team"),
        ("http://[::1]:8000", "[::1]:8000", ""),
        ("http://[::1]:8000/v1/chat/completions", "[::1]:8000", ""),
        ("https://gateway/team/v1/chat/completions", "gateway", "/team"),
        ("https://gateway/v1/completions/", "gateway", ""),
        ("https://gateway/v1/models", "gateway", ""),
        ("https://sk-1@gateway/v1", "gateway", ""),
    ],
)
def test_a_base_url_is_taken_apart(url: str, authority: str, prefix: str) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.authority, endpoint.prefix) == (authority, prefix)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8000", "ftp://host", "http://", "http://host?x=1", "http://host:99999", "http://[::1"],
)
def test_anything_else_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ValueError, match=r"expected a base URL such as http://127\.0\.0\.1:8000, not "):
        Endpoint.parse(url)


def test_the_api_key_is_never_shown() -> None:
    endpoint = Endpoint.parse("http://host", " sk-secret\n")
    assert endpoint.authorization == {"Authorization": "Bearer sk-secret"}
    assert "sk-secret" not in f"{endpoint!r} {endpoint}"


@pytest.mark.parametrize(
    "url", ["http://sk-1%2F2@host/v1", "http://:sk-1%2F2@host", "http://me:sk-1%2F2@host:80/"]
)
def test_a_key_in_the_url_is_the_key_and_is_never_shown(url: str) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint.authorization == {"Authorization": "Bearer sk-1/2"}
    assert Endpoint.parse(url, "sk-other").api_key == "sk-other", "one that is named apart is meant"
    assert "sk-1" not in f"{endpoint!r} {without_key(url)}"
    with pytest.raises(ValueError, match="expected a base URL") as complaint:
        Endpoint.parse(f"{url}?x=1")
    assert "sk-1" not in f"{complaint.value!r} {complaint.value.__cause__!r}"


def test_the_first_model_is_learnt_from_the_server() -> None:
    with ScriptedServer() as server:
        assert first_model(Endpoint.parse(server.url(), "sk-1")) == "tiny"
        path, headers, _ = server.requests[0]
    assert (path, headers["authorization"]) == ("/ok/v1/models", "bearer sk-1")


def test_a_server_that_is_not_there_cannot_be_asked(free_port: int) -> None:
    with pytest.raises(
        ValueError, match=rf"127\.0\.0\.1:{free_port}/v1/models; name it with --model: .*refused"
    ):
        first_model(Endpoint.parse(f"http://127.0.0.1:{free_port}"))


def test_an_answer_that_lists_no_model_is_quoted() -> None:
    with ScriptedServer() as server, pytest.raises(ValueError, match=r"it answered 404 b.*scripted"):
        first_model(Endpoint.parse(server.url("no_models-404")))
