"""The documents that a vendor has about companies and coins, and how faults change them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from venue.dialects.base import Answer, Json
    from venue.dialects.documents import Documents, Subject
    from venue.faults import Fault

_SPOILED: Mapping[str, object] = {"null": None, "text": "abc", "nan": "NaN", "zero": 0}
_AMOUNT = 1_000_000
"""What is larger is an amount."""

DOCUMENT_KINDS: Mapping[str, tuple[str, ...]] = {
    "another_subject": (),  # the document is about another company or coin
    "bad_numbers": (*_SPOILED, "string"),  # every number of it
    "other_unit": ("percent", "thousands"),  # yields times 100; amounts by 1000
}


class Shelf:
    """What one vendor knows: companies or coins by the vendor's own names of them."""

    def __init__(self, dialect: Documents, known: Mapping[str, Any]) -> None:
        self._dialect = dialect
        self._known = known

    def answer(
        self, subject: Subject, query: Mapping[str, str], now_ms: int, faults: Sequence[Fault]
    ) -> Answer:
        """Return a document, as faults of `DOCUMENT_KINDS` make it."""
        if any(fault.kind == "another_subject" for fault in faults):
            subject = replace(subject, name=self._after(subject.name))
        about = self._known.get(subject.name)
        if about is None:
            return self._dialect.unknown_subject(subject, query)
        return self.changed(self._dialect.document(subject, about, query, now_ms), faults)

    def changed(self, answer: Answer, faults: Sequence[Fault]) -> Answer:
        """Return an answer, also a recorded one, with what faults do to its numbers."""
        for fault in faults:
            if fault.kind in {"bad_numbers", "other_unit"}:
                document = self._changed(orjson.loads(answer.body), fault, "")
                answer = replace(answer, body=orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return answer

    def _after(self, name: str) -> str:
        names = sorted(self._known)
        return next((one for one in names if one > name), names[0] if names else name)

    def _changed(self, value: Json, fault: Fault, name: str) -> Json:
        """Return a part of a document with its numbers changed, wherever they are."""
        if isinstance(value, dict):
            return {key: self._changed(one, fault, key) for key, one in value.items()}
        if isinstance(value, list):
            return [self._changed(one, fault, name) for one in value]
        number = self._number(value)
        if number is None:
            return value
        if fault.kind == "bad_numbers":
            variant = fault.variant or "null"
            if variant == "string":
                return number if isinstance(value, str) else str(value)
            return _SPOILED[variant]
        changed = self._in_other_unit(number, fault.variant or "percent", name)
        return str(changed) if isinstance(value, str) else changed

    def _in_other_unit(self, number: float, variant: str, name: str) -> float:
        if variant == "percent":
            return number * 100 if name in self._dialect.yields else number
        return number / 1000 if abs(number) >= _AMOUNT else number

    def _number(self, value: Json) -> float | None:
        """Return a number of a document; None for what is none to this vendor."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if not isinstance(value, str) or not self._dialect.numbers_are_text:
            return None
        try:
            return float(value)
        except ValueError:
            return None
