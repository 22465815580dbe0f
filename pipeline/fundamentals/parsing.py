"""What a document says: each value that the registry names, or why it cannot be used.

Nothing is guessed, filled in or judged here: a value out of its bounds is still what was said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final

from pipeline.fundamentals import reading
from pipeline.fundamentals.countries import country_code
from pipeline.fundamentals.fields import MONEY, Field, Source
from pipeline.fundamentals.reading import Unusable
from pipeline.fundamentals.records import Record
from pipeline.fundamentals.registry import Registry
from pipeline.fundamentals.shapes import alpha_vantage, coingecko, fmp, ibkr, yahoo
from pipeline.fundamentals.shapes.common import shown
from pipeline.fundamentals.values import Parsed, Period, Refusal, Value

SHAPES: Final[Mapping[str, Callable[[str, str, str], Sequence[Record]]]] = MappingProxyType(
    {
        "fmp": fmp.records,
        "yahoo": yahoo.records,
        "alpha_vantage": alpha_vantage.records,
        "ibkr": ibkr.records,
        "coingecko": coingecko.records,
    }
)
"""How each client's documents are taken apart."""

_BEGINS: Final = timedelta(hours=14)
_IS_OVER: Final = timedelta(hours=36)
"""So long before its midnight of UTC a day begins somewhere; so long after it, it is over."""

_WRITE_TEXT: Final = frozenset({"alpha_vantage", "ibkr"})
"""The clients whose numbers are text."""


def parse(  # noqa: PLR0917  in the order of a snapshot
    registry: Registry,
    client: str,
    document: str,
    payload: str,
    symbol: str,
    fetched_at: datetime,
) -> Parsed:
    """Read a document.

    Args:
        registry: What to look for, and where.
        client: The kind of client that fetched it.
        document: Which of its documents it is.
        payload: The document as it came.
        symbol: Whom it has to be about, as the client was asked.
        fetched_at: When it came; it can tell of nothing later than that.

    Raises:
        UnknownDocument: There is no such client or document.
        UnusableDocument: It is not such a document, or about something else.
    """
    sources = [
        (name, field, source)
        for name, field, source in registry.sources(client, document)
        if source.holds_at(fetched_at)
    ]
    found = [
        each
        for record in SHAPES[client](document, payload, symbol)
        for name, field, source in sources
        for each in _Place(client, record, name, field, source, fetched_at).read()
    ]
    return Parsed(*_without_contradictions(found))


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in which a value of a field may be."""

    client: str
    record: Record
    name: str
    field: Field
    source: Source
    fetched_at: datetime

    def read(self) -> Iterator[Value | Refusal]:
        values = self.record.values
        for name in self.source.name:
            if not reading.is_missing(values.get(name)):
                yield from self._usable(values[name], self._at(name))
                return
        # Nothing is there; maybe because what it would be in is something else.
        for around in dict.fromkeys(self._around()):
            raw = values.get(around)
            if not reading.is_missing(raw) and not isinstance(raw, dict):
                why = "is no object, so it can state nothing"
                yield Refusal(self.name, self._at(around), shown(raw), why)

    def _at(self, name: str) -> str:
        return self.record.place.replace("*", name)

    def _around(self) -> Iterator[str]:
        """Yield what the names are nested in: of `a.b.c`, `a` and `a.b`."""
        for name in self.source.name:
            parts = name.split(".")[:-1]
            yield from (".".join(parts[: count + 1]) for count in range(len(parts)))

    def _usable(self, raw: object, place: str) -> Iterator[Value | Refusal]:
        try:
            period, end = self._period()
            value, currency = self._value(raw)
            filed_at = self._filed_at()
        except Unusable as why:
            yield Refusal(self.name, place, shown(raw), str(why))
            return
        if value is not None:
            yield Value(self.name, value, currency, period, end, filed_at, place)

    def _period(self) -> tuple[Period, date | None]:
        if self.record.spoilt:
            raise Unusable(self.record.spoilt)
        period = self.record.period or self.source.period or self.field.period
        raw = self.record.ends.get(period)
        if raw is None and self.record.period is None:
            return period, None
        try:
            end = reading.only_day(raw)
        except Unusable as why:
            raise Unusable(f"its period has no end that can be used: {why}") from None
        if end > self.fetched_at.astimezone(UTC).date():
            raise Unusable(f"its period ends on {end}, after the document was fetched")
        return period, end

    def _filed_at(self) -> datetime | None:
        """Return when it was published: of a day without a time, as late as it can have been."""
        filed = self.record.filed_at
        if filed is None:
            return None
        if isinstance(filed, datetime):
            earliest = latest = filed
        elif isinstance(filed, date):
            midnight = datetime.combine(filed, time(), UTC)
            earliest, latest = midnight - _BEGINS, min(midnight + _IS_OVER, self.fetched_at)
        else:
            raise Unusable(f"it was published at {shown(filed)}, which is no time")
        if earliest > self.fetched_at:
            raise Unusable(f"it was published at {filed}, after it was fetched")
        return latest

    def _value(self, raw: object) -> tuple[float | str | date | None, str | None]:
        if self.field.kind == "text":
            if self.source.unit == "currency":
                return reading.currency(raw)[0], None
            words = reading.words(raw)
            return country_code(words) if self.source.unit == "country" else words, None
        if self.field.kind == "date":
            return reading.calendar_day(raw, self.source), None
        currency, in_minor_unit = self._money()
        number = reading.number(
            raw,
            self.source,
            as_text=self.source.as_text or self.client in _WRITE_TEXT,
            in_minor_unit=in_minor_unit,
        )
        return number, currency

    def _money(self) -> tuple[str | None, bool]:
        """Return what currency a number is in, and whether in hundredths of it."""
        source = self.source
        if source.same_currency:
            trading, reporting = (self._said(word)[0] for word in ("trading", "reporting"))
            if trading != reporting:
                raise Unusable(f"mixes a price in {trading} with books in {reporting}")
        if self.field.kind not in MONEY:
            if not source.in_minor_unit:
                return None, False
            return None, self._said("trading")[1]
        code, minor = self._said(source.currency or self.field.currency)
        if minor and source.in_minor_unit is None:
            raise Unusable(f"may be in {code} or in hundredths of it: the registry does not say")
        return code, bool(minor and source.in_minor_unit)

    def _said(self, which: str) -> tuple[str, bool]:
        if which in {"trading", "reporting"}:
            return reading.currency(self.record.currencies.get(which))  # type: ignore[call-overload]
        return which, False


def _without_contradictions(
    found: Sequence[Value | Refusal],
) -> tuple[Sequence[Value], Sequence[Refusal]]:
    """Keep one value of a field and period; none, if the document says it twice and differently."""
    refusals = [one for one in found if isinstance(one, Refusal)]
    said: dict[tuple[str, Period, date | None], list[Value]] = {}
    for one in found:
        if isinstance(one, Value):
            said.setdefault((one.field, one.period, one.period_end), []).append(one)
    values = []
    for same in said.values():
        first, *others = same
        if all((one.value, one.currency) == (first.value, first.currency) for one in others):
            values.append(first)
        else:
            why = "the document says it twice, and differently"
            refusals += [Refusal(one.field, one.found_at, shown(one.value), why) for one in same]
    return values, refusals
