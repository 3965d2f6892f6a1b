"""The rule on TLS: whoever serves it speaks 1.3 alone."""

import re
from collections.abc import Iterator

from chaos.lint.objects import Inventory, Object
from chaos.lint.rule import rule
from chaos.lint.texts import files, settings, shown
from chaos.reading.documents import Problem

_OLD = r"(?:(?:TLS|SSL)_?[vV]?_?1(?:[._]?[0-2])?(?![._]?\d)|SSLv[23]\b)"
_OLD_PROTOCOL = re.compile(
    rf"ssl[_-]protocols?\b[^;]*{_OLD}|PROTOCOL_{_OLD}|min\w{{0,20}}[\w.-]{{0,30}}ver\w{{0,8}}\W.{{0,40}}{_OLD}",
    re.IGNORECASE,
)
_NGINX = re.compile(r"^\s*listen\s+[^;]*\bssl\b", re.MULTILINE)
_ISTIO_ENDS_TLS = ("SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL")


@rule("error")
def tls_before_1_3(each: Object, _: Inventory) -> Iterator[Problem]:
    """A TLS server speaks TLS 1.3 alone.

        Looked for in Istio's Gateways, in settings of nginx, Envoy, HAProxy, Traefik and Prometheus, in
    arguments and variables.
        What still allows 1.2 can be talked into it, and into its ciphers without forward secrecy. Where nothing
        is said, each of these allows 1.2.
    """
    if each.type == "Gateway.networking.istio.io":
        yield from _of_istio(each)
    if each.kind == "TLSOption" and each.group.startswith("traefik."):
        least = each.spec.at("minVersion")
        if least.text != "VersionTLS13":
            yield least.problem("expected VersionTLS13")
    for place, line in settings(each):
        if _OLD_PROTOCOL.search(line):
            yield Problem(place.key_path, f"expected TLS 1.3 alone in {shown(line)}")
    for _name, file in files(each):
        text = file.text
        if _NGINX.search(text) and "ssl_protocols" not in text:
            yield Problem(file.key_path, "expected `ssl_protocols TLSv1.3;` (nginx allows 1.2 otherwise)")
        if "DownstreamTlsContext" in text and "tls_minimum_protocol_version" not in text:
            yield Problem(file.key_path, "expected tls_minimum_protocol_version: TLSv1_3 (Envoy takes 1.2)")
        if "tls_server_config" in text and "min_version" not in text:
            yield Problem(file.key_path, "expected min_version: TLS13 (Prometheus takes TLS12)")


def _of_istio(gateway: Object) -> Iterator[Problem]:
    for server in gateway.spec.at("servers").each():
        least = server.at("tls", "minProtocolVersion")
        if server.at("tls", "mode").text in _ISTIO_ENDS_TLS and least.text != "TLSV1_3":
            yield least.problem("expected TLSV1_3 (Istio takes TLSV1_2)")
