"""Which addresses may be connected to: those of the public internet, and what the user allows."""

import ipaddress
from collections.abc import Iterable

from transforms.deadletter import Unusable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What the ipaddress library, depending on its version, takes for part of the public internet.
NOT_PUBLIC: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10",  # Carrier-grade NAT, and Alibaba's metadata service.
        "168.63.129.16/32",  # Azure's platform service.
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata service.
        "192.88.99.0/24",  # 6to4 relays.
        "198.18.0.0/15",  # Benchmarks.
        "2001::/23",  # IETF protocol assignments; Teredo, which embeds other addresses.
        "2001:db8::/32",  # Documentation.
        "2002::/16",  # 6to4, which embeds other addresses.
        "3fff::/20",  # Documentation.
    )
)
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Made by a network that reaches IPv4 through IPv6 (RFC 6052): its last 32 bits decide.
NAT64 = ipaddress.ip_network("64:ff9b::/96")

# Names that the public name system cannot hold (RFC 6761, 6762 and 8375; ICANN's internal).
LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".lan", ".corp", ".intranet")
DEFAULT_PORTS = {"http": 80, "https": 443}


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, whatever it embeds included."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped
        if address in NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if embedded is not None:
            return is_public(embedded)
        if address not in GLOBAL_UNICAST:
            return False
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in NOT_PUBLIC)
    )


def to_address(host: str) -> Address | None:
    """The address that a host is written as, None where it is a name or an odd spelling."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether a host, as written, is this machine: not whether its name leads here."""
    address = to_address(host)
    if address is None:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback


def is_local_name(host: str) -> bool:
    """Whether only the user's own network can say where a host is.

    True for an address and for a name that the public name system cannot hold.
    """
    return to_address(host) is not None or "." not in host or host.endswith(LOCAL_SUFFIXES)


class Guard:
    """Decides on the addresses that a host has; safe to use from threads.

    ``allowed`` holds hosts, ``host:port`` and networks such as 10.0.0.0/8. A host is
    allowed as it is written: 127.0.0.1 does not allow localhost. Raises ValueError for
    an entry that is none of these.
    """

    def __init__(self, allowed: Iterable[str]):
        self._hosts: set[tuple[str, int | None]] = set()
        networks: list[Network] = []
        for entry in allowed:
            if "/" in entry:
                networks.append(ipaddress.ip_network(entry, strict=False))
            else:
                self._hosts.add(split_host(entry))
        self._networks = tuple(networks)

    def check(self, host: str, port: int, addresses: Iterable[str]) -> list[str]:
        """Those of a host's addresses that may be connected to, in the order given.

        Raises Unusable where there is none.
        """
        found = [to_address(address) for address in addresses]
        host = host.lower()
        if not {(host, None), (host, port)} & self._hosts:
            found = [one for one in found if one is not None and self._may_connect(one)]
        usable = [str(one) for one in found if one is not None]
        if not usable:
            raise Unusable(
                "Refused",
                f"{host}:{port} is not on the public internet; fetch.allow_hosts can allow it",
            )
        return usable

    def _may_connect(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._networks)


def split_host(entry: str) -> tuple[str, int | None]:
    """The host and port of ``host``, ``host:port``, ``address`` or ``[address]:port``.

    Raises ValueError for what is none of these.
    """
    entry = entry.strip().lower()
    if (address := to_address(entry.strip("[]"))) is not None:
        return str(address), None
    host, colon, digits = entry.rpartition(":")
    if not colon:
        host, digits = entry, ""
    host = host.strip("[]")
    port = int(digits) if digits.isascii() and digits.isdigit() else None
    is_port = port is not None and 0 < port < 65536
    if not host or set(host) & set("@/?#[] *") or (colon and not is_port):
        raise ValueError(f"{entry!r} is not a host, host:port or network")
    if ":" in host and to_address(host) is None:
        raise ValueError(f"{entry!r} is not a host, host:port or network")
    return str(to_address(host) or host), port
