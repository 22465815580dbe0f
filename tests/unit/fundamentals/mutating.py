"""Documents spoilt at random places, and whether what is read in them is in them."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import strategies as st

from pipeline.fundamentals.values import Parsed

NONSENSE = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -1, "", "-", "None", "NaN", "1e999", "1,5", "USD", "GBp", "OTHER"]
    ),
    st.sampled_from([math.nan, math.inf, -math.inf, 10**400, 1e300, [], {}, [1], {"raw": 7}]),
    st.sampled_from(["2062-01-01", "0000-00-00", "2025-12-31", "\ud800", "a\x00b", "<html>", "FY"]),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
)
_FACTORS = [Decimal(f"1e{power}") for power in (-4, -2, 0, 3, 4, 6)]
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")


def places(body: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a body as what holds it and the key there."""
    if isinstance(body, dict | list):
        for key in list(body) if isinstance(body, dict) else range(len(body)):
            yield body, key
            yield from places(body[key])


@st.composite
def spoilt(draw: st.DrawFn, body: Any) -> str:
    """JSON of a body in which up to four places hold nonsense, are gone, or stand elsewhere."""
    changed = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 4))):
        if not (all_places := list(places(changed))):
            break
        holder, key = draw(st.sampled_from(all_places))
        match draw(st.sampled_from(["nonsense", "nonsense", "gone", "moved"])):
            case "gone":
                del holder[key]
            case "moved":
                other, place = draw(st.sampled_from(all_places))
                holder[key] = copy.deepcopy(other[place])
            case _:
                holder[key] = copy.deepcopy(draw(NONSENSE))
    return json.dumps(changed)


@st.composite
def garbled(draw: st.DrawFn, text: str) -> str:
    """A text with a piece cut out, and something put there."""
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 40)))
    return text[:start] + draw(st.text(max_size=6)) + text[end:]


def is_all_in(parsed: Parsed, payload: str) -> bool:
    """Whether every value of a document is somewhere in it, and one that can be kept."""
    text = "\n".join(_leaves(payload))
    numbers = [Decimal(one) for one in _NUMBER.findall(text) if _usual(one)]
    scaled = {abs(float(number * factor)) for number in numbers for factor in _FACTORS}
    days = {_day(float(number)) for number in numbers} | set(_DAY.findall(text))
    squeezed = "".join(text.split())
    for value in parsed.values:
        match value.value:
            case float(number):
                held = math.isfinite(number) and abs(number) in scaled
            case date() as day:
                held = str(day) in days
            case words:
                held = "".join(words.split()) in squeezed or words in {"GBP", "ZAR", "ILS"}
        if not held:
            return False
    return True


def _leaves(payload: str) -> Iterator[str]:
    """Yield what a document states: of JSON each text and number, of XML all of it."""
    if payload.lstrip().startswith("<"):
        yield payload
        yield unescape(payload)
        return
    body = json.loads(payload, parse_float=str, parse_int=str, parse_constant=str)
    yield from (one for holder, key in places(body) if isinstance(one := holder[key], str))


def _usual(number: str) -> bool:
    return abs(Decimal(number).adjusted()) < 400


def _day(seconds: float) -> str:
    try:
        return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).date())
    except (OverflowError, ValueError):
        return ""


@st.composite
def spoilt_report(draw: st.DrawFn, text: str) -> str:
    """XML in which up to four texts or attributes hold nonsense."""
    root = ET.fromstring(text)
    words = NONSENSE.map(str).filter(_is_xml)
    for _ in range(draw(st.integers(1, 4))):
        element = draw(st.sampled_from(list(root.iter())))
        if draw(st.booleans()) and element.attrib:
            element.set(draw(st.sampled_from(sorted(element.attrib))), draw(words))
        else:
            element.text = draw(words)
    return ET.tostring(root, encoding="unicode")


def _is_xml(text: str) -> bool:
    return bool(re.fullmatch(r"[\t -\ud7ff\ue000-\ufffd]*", text))
