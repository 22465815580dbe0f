"""What all clients have in common that ask a vendor over the wire.

What belongs here: what a client is made of, whoever is asked, and what is refused before anything
is sent. Not here: what becomes of a request (`watch`), and whatever one vendor alone does (its
client).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from pipeline.intervals import Interval
from pipeline.providers.errors import ProviderError, Unsupported
from pipeline.providers.limiter import Limiter
from pipeline.providers.options import ProviderOptions
from pipeline.providers.protocol import NativeSeries
from pipeline.providers.table import capabilities_for
from pipeline.providers.watch import Watch


class WatchedProvider:
    """The beginning of a `Provider` whose requests all go through one `Watch`.

    Args:
        name: The provider's name in the universe.
        options: How it is configured.
        limiter: Shared by everything that is counted against the same limit.
        translate: From the provider's name and whatever the SDK raises to our errors.

    Raises:
        Unsupported: The options allow nothing.
    """

    def __init__(
        self,
        name: str,
        options: ProviderOptions,
        limiter: Limiter,
        translate: Callable[[str, Exception], ProviderError],
    ) -> None:
        self.name = name
        self.capabilities = options.capabilities(name)
        self._asset_classes = frozenset(options.asset_classes)
        self._clock = options.now
        self._watch = Watch(
            name,
            self.capabilities,
            limiter,
            translate,
            published=capabilities_for(options.source).limit,
            clock=options.now,
        )

    @property
    def requests_sent(self) -> int:
        """How many HTTP requests this client has sent so far, whatever they were for."""
        return self._watch.requests_sent

    @property
    def clock_skew(self) -> timedelta | None:
        """How far the vendor's clock is ahead of ours, by its latest answer that said so."""
        return self._watch.clock_skew

    def _serve(self, known: Collection[str], refusal: str) -> None:
        """Serve the asset classes that are listed, or all that are known if none is.

        Args:
            known: What can be served.
            refusal: What to say of others, with `{}` in their place.

        Raises:
            Unsupported: Others are listed.
        """
        if unknown := self._asset_classes - frozenset(known):
            raise Unsupported(self.name, refusal.format(", ".join(sorted(unknown))))
        self._asset_classes = self._asset_classes or frozenset(known)

    def _check_class(self, asset_class: str) -> None:
        """Refuse an asset class that is not served.

        Raises:
            Unsupported: It is not among those that the client was opened for.
        """
        if asset_class not in self._asset_classes:
            opened = ", ".join(sorted(self._asset_classes))
            raise Unsupported(self.name, f"opened for {opened} and not for {asset_class}")

    def _check_document(self, document: str) -> None:
        """Refuse what cannot be asked for.

        Raises:
            ValueError: There is no such document.
        """
        documents = self.capabilities.documents
        if document not in documents:
            raise ValueError(
                f"{self.name} has no document {document!r}; it has {', '.join(documents)}"
            )

    def _check_length(self, window: Interval) -> None:
        """Refuse a window that no single question can be about.

        Raises:
            ValueError: It is empty or too long.
        """
        _check_minutes(window, self.capabilities.bars_per_request)

    def _check_native(
        self, series: Mapping[str, NativeSeries], timeframe: str, window: Interval
    ) -> None:
        """Refuse a window of longer bars that no single question can be about.

        Raises:
            ValueError: It is empty or too long, or there are no such bars.
        """
        if timeframe not in series:
            raise ValueError(
                f"{self.name} has no bars of {timeframe!r} itself; it has {', '.join(series)}"
            )
        _check_minutes(window, series[timeframe].minutes_per_request)


def _check_minutes(window: Interval, longest: int) -> None:
    if not 0 < window.minutes <= longest:
        raise ValueError(f"window {window} has not between 1 and {longest} minutes")
