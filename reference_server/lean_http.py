"""Import aiohttp without the system's certificates, which it reads for clients meanwhile: a quarter of that time.

This server is no client. What aiohttp would verify others' certificates with trusts none here, so it fails, should
anybody ever ask.
"""

import ssl
import sys


def import_aiohttp() -> None:
    """Import aiohttp; no effect when it already is."""
    if "aiohttp" in sys.modules:
        return
    with_certificates = ssl.create_default_context
    ssl.create_default_context = lambda *_, **__: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        import aiohttp  # noqa: F401
    finally:
        ssl.create_default_context = with_certificates
