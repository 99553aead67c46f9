"""Requests that a browser sends on behalf of a page from elsewhere are refused.

A page that somebody looks at may send requests to servers of their own machine. It cannot read the answers,
but for two ways: a server that allows its origin (this one allows none but its own), and DNS rebinding, by
which its name becomes an address of this machine. Then the request's ``Host`` still is that name.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web


def is_loopback(host: str) -> bool:
    """Whether an address that a server listens at is this machine's own alone.

    Args:
        host: An address, or a name.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_sender(request: web.BaseRequest, loopback: bool) -> None:
    """Refuses what a page from elsewhere has sent.

    Args:
        request: Of REST or of the explorer.
        loopback: Whether the server listens on this machine alone; elsewhere it has names it does not know.

    Raises:
        web.HTTPForbidden: If the request names another origin, or a name as this machine's that is not.
    """
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        raise web.HTTPForbidden(text=f"Origin: found {origin!r}, expected none, or http://{request.host}")
    if loopback and not _is_own(request.host):
        raise web.HTTPForbidden(
            text=f"Host: found {request.host!r}, expected localhost or an address: this server listens on "
            "this machine alone"
        )


def _is_own(netloc: str) -> bool:
    host = urlsplit(f"//{netloc}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return True
