"""Which servers take a connection at all, told within seconds: without a network, libraries wait and retry for minutes.

huggingface_hub retries a file five times, with pauses of 23 seconds together, and timm asks for two files; urllib waits
as long as the system does. Neither has a setting that would bound it without cutting off slow networks.
"""

import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable

PATIENCE_S = 4.0
"""For looking a name up and connecting; a server that is there takes a tenth of a second."""

PORTS = {"http": 80, "https": 443}


def reachable(addresses: Iterable[str], *, patience_s: float = PATIENCE_S) -> set[str]:
    """Those of some addresses whose server, or the proxy before it, takes a connection; all are asked at once.

    Addresses of another kind than http and https count as reachable.

    Example:
        >>> reachable(["file:///data/stl10.tar"])
        {'file:///data/stl10.tar'}
    """
    addresses = set(addresses)
    asked = {address: server for address in addresses if (server := _server(address)) is not None}
    taken: set[tuple[str, int]] = set()

    def ask(server: tuple[str, int]) -> None:
        try:
            socket.create_connection(server, timeout=patience_s).close()
        except OSError:
            return
        taken.add(server)

    # In threads that nobody waits for any longer: the look-up of a name has no time-out of its own.
    asking = [threading.Thread(target=ask, args=(server,), daemon=True) for server in set(asked.values())]
    for thread in asking:
        thread.start()
    until = time.monotonic() + patience_s
    for thread in asking:
        thread.join(max(0.0, until - time.monotonic()))
    return {address for address in addresses if address not in asked or asked[address] in taken}


def _server(address: str) -> tuple[str, int] | None:
    """Host and port that a request of this address goes to first."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in PORTS or parts.hostname is None:
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, 80)
