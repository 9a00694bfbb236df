from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from workbench.core.clock import SystemClock
from workbench.providers.base import ProviderSpec, Transport, WireFamily
from workbench.providers.http import Connections
from workbench.simulator.certificate import Certificate, temporary_certificate


@pytest.fixture(scope="session")
def certificate() -> Iterator[Certificate]:
    with temporary_certificate("provider.invalid") as made:
        yield made


@pytest.fixture
async def connections(certificate: Certificate) -> AsyncIterator[Connections]:
    made = Connections({"SSL_CERT_FILE": str(certificate.ca_file)}, clock=SystemClock())
    yield made
    await made.aclose()


@pytest.fixture
def spec() -> Callable[[str, Transport], ProviderSpec]:
    def make(base_url: str, transport: Transport) -> ProviderSpec:
        return ProviderSpec("acme", "acme/", WireFamily.OPENAI_CHAT, base_url, (), (), transport=transport)

    return make
