"""Whose key a job goes with: chosen when it is submitted, and found again by its fingerprint ever after."""

from __future__ import annotations

from workbench.core.errors import MissingKey, UsageError
from workbench.core.types import Route
from workbench.engine.batching import Batching
from workbench.engine.keyring import Key
from workbench.engine.router import Target
from workbench.jobs.job import BatchSupport
from workbench.providers.base import ProviderSpec
from workbench.providers.batch import BatchAccount, BatchAdapter
from workbench.providers.batch_adapters import SUPPORTED, supports_batches
from workbench.store.job_records import JobRecord

_OFFERS = {
    "openai": "half price, within 24 hours, 50,000 rows or 200 MB a batch",
    "anthropic": "half price, within 24 hours, 100,000 rows or 256 MB a batch",
    "gemini": "half price, within 24 hours as a rule, 2 GB a batch",
    "together": "half price for most models, within 24 hours, 50,000 rows or 100 MB a batch",
}


class BatchesUnsupported(UsageError, NotImplementedError):
    """This model's provider has no batches, or none that are spoken here."""


class Accounts:
    """The keys and adapters of one engine, for jobs."""

    def __init__(self, batching: Batching) -> None:
        self._batching = batching

    def spec(self, provider: str) -> ProviderSpec:
        """Raises UsageError for a row that the settings do not have any more."""
        for row in self._batching.rows:
            if row.name == provider:
                return row
        raise UsageError(f"There is no provider {provider!r} any more.", hint="Put it back into the settings.")

    async def adapter(self, spec: ProviderSpec) -> BatchAdapter:
        """Raises BatchesUnsupported."""
        try:
            return await self._batching.adapter(spec)
        except NotImplementedError as exc:
            raise BatchesUnsupported(str(exc), hint="`llm-workbench run` asks it live.") from exc

    async def keys(self, spec: ProviderSpec) -> tuple[Key, ...]:
        """In their order; never empty. Raises MissingKey."""
        keys = await self._batching.keys(spec)
        if not keys:
            raise MissingKey(spec.title or spec.name, spec.key_variables)
        return keys

    async def of_job(self, job: JobRecord, *, any_key: bool = True) -> list[tuple[Key, BatchAccount]]:
        """The account that a job was submitted with; with `any_key` every one while that key is not to be found.

        Raises MissingKey when there is none at all, and UsageError when it must be the job's own.
        """
        spec = self.spec(job.provider)
        keys = await self.keys(spec)
        chosen = [key for key in keys if key.fingerprint == job.fingerprint]
        if not chosen and job.fingerprint and not any_key:
            raise UsageError(
                f"The key that this job is being submitted with ({job.key_alias}) is not configured any more.",
                hint="With another account's key it could be paid twice; put that key back, or cancel the job.",
            )
        return [(key, account(spec, job.base_url, key)) for key in chosen or keys]

    async def supported(self) -> tuple[BatchSupport, ...]:
        offers = []
        for row in self._batching.rows:
            if supports_batches(row):
                has_key = bool(await self._batching.keys(row))
                title = row.title or row.name
                need = "" if has_key else f"; no key: set {' or '.join(row.key_variables)}"
                offers.append(BatchSupport(row.name, title, f"{title}: {_OFFERS[row.name]}{need}.", has_key))
        return tuple(sorted(offers, key=lambda offer: SUPPORTED.index(offer.provider)))

    def target(self, job: JobRecord) -> Target:
        """Where a job's rows went, for prices and the response cache."""
        spec = self.spec(job.provider)
        return Target(Route(job.model or job.wire_model, job.provider, job.wire_model, job.base_url), spec)


def account(spec: ProviderSpec, base_url: str, key: Key) -> BatchAccount:
    return BatchAccount(spec, base_url, key.secret, key.alias)
