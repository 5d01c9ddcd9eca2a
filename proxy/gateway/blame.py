"""What went wrong while a data source was opened: whose fault it is, and may another host do.

Foreign exceptions end here. What a server said is never repeated.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from policies.egress import UNREACHABLE
from protocols.errors import PeerClosed, PeerViolation, Reason, Refusal, UpstreamRefused
from protocols.interface import WireProtocol
from proxy.gateway.failover import HostFailed, is_not_ready
from proxy.metrics import Connect, Credential, Metrics
from proxy.store.records import Source


class CredentialRejected(Refusal):
    """The data source's server did not accept the stored credential."""


@contextmanager
def blamed(protocol: WireProtocol, source: Source, metrics: Metrics) -> Iterator[None]:
    """What went wrong with one host, as a Refusal, or as HostFailed where another may do."""
    try:
        yield
    except Refusal as refusal:
        if refusal.reason is Reason.SOURCE_UNREACHABLE:
            raise HostFailed(Connect.UNREACHABLE, refusal) from None
        raise
    except TimeoutError:
        raise _unreachable("the data source did not answer in time") from None
    except PeerClosed:
        raise _unreachable("the data source closed the connection") from None
    except UpstreamRefused as error:
        told = protocol.explain(error)
        if is_not_ready(error.code):
            raise HostFailed(Connect.NOT_READY, told) from None
        # SQLSTATE class 28, in every protocol: invalid authorization specification.
        if error.code.startswith("28") and source.credential is not None:
            metrics.credentials.add(Credential.REJECTED)
            raise CredentialRejected(
                told.reason, told.public, told.private, code=told.code
            ) from None
        raise told from None
    except PeerViolation as violation:
        raise Refusal(
            Reason.SOURCE_UNTRUSTED,
            "the data source did not keep to its protocol during the login",
            str(violation),
        ) from None
    except ssl.SSLCertVerificationError as error:
        raise Refusal(
            Reason.SOURCE_UNTRUSTED,
            f"the data source's certificate was not accepted: {error.verify_message}",
        ) from None
    except ssl.SSLEOFError:
        # It hung up in the middle of the handshake, as a server that stops does.
        raise _unreachable("the data source closed the connection") from None
    except ssl.SSLError as error:
        raise Refusal(
            Reason.SOURCE_UNTRUSTED,
            "the TLS handshake with the data source failed",
            f"TLS handshake: {error.reason}",
        ) from None
    except OSError as error:
        raise _unreachable(f"{type(error).__name__} during the login") from None


def _unreachable(private: str) -> HostFailed:
    return HostFailed(Connect.UNREACHABLE, Refusal(Reason.SOURCE_UNREACHABLE, UNREACHABLE, private))
