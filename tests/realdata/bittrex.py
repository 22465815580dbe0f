"""What Bittrex answered: windows of ten days, asked for on four days, overlapping in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.intervals import Interval
from tests.realdata import published
from tests.realdata.ledgers import Recording
from tests.realdata.published import Bars

Windows = Mapping[str, Sequence[str]]
"""Listing to the files of its windows, the earliest first."""

_EARLY, _LATE = "history_bittrex_1m_2017-11-04", "history_bittrex_1m_2017-11-08"
NOVEMBER: Windows = {
    "BCC-BTC": [f"{_EARLY}/BTC_BCC-1.json.gz"],
    "DASH-BTC": [f"{_EARLY}/BTC_DASH-1.json.gz", f"{_LATE}/btc-dash.json.gz"],
    "EDG-BTC": [f"{_LATE}/btc-edg.json.gz"],
    "ETC-BTC": [f"{_EARLY}/BTC_ETC-1.json.gz", f"{_LATE}/btc-etc.json.gz"],
    "ETH-BTC": [f"{_EARLY}/BTC_ETH-1.json.gz", f"{_LATE}/btc-eth.json.gz"],
    "LTC-BTC": [f"{_EARLY}/BTC_LTC-1.json.gz", f"{_LATE}/btc-ltc.json.gz"],
    "NEO-BTC": [f"{_LATE}/btc-neo.json.gz"],
    "XZC-BTC": [f"{_EARLY}/BTC_XZC-1.json.gz", f"{_LATE}/btc-xzc.json.gz"],
}
_ON_TIME, _HOUR_LATE = "history_bittrex_1m_2018-01-20", "history_bittrex_1m_2018-01-25"
JANUARY: Windows = {
    "ADA-BTC": [f"{_ON_TIME}/ADA_BTC-1.json.gz", f"{_HOUR_LATE}/ADA_BTC-1m.json.gz"],
    "ETH-BTC": [f"{_ON_TIME}/BTC_ETH-1.json.gz", f"{_HOUR_LATE}/ETH_BTC-1m.json.gz"],
    "POWR-BTC": [f"{_ON_TIME}/BTC_POWR-1.json.gz", f"{_HOUR_LATE}/POWR_BTC-1m.json.gz"],
}


def recordings(folder: Path, windows: Windows) -> list[Recording]:
    """Return markets from the first bar to the last one of all of their windows."""
    return [_recording(folder, key, files) for key, files in windows.items()]


def bars(folder: Path, files: Iterable[str]) -> Bars:
    """Return the bars of windows; of a minute that several have, as the last of them has it."""
    return {ts: bar for file in files for ts, bar in published.bittrex(folder, file).items()}


def _recording(folder: Path, key: str, files: Sequence[str]) -> Recording:
    moments = bars(folder, files)
    life = Interval(min(moments), max(moments) + published.MINUTE)
    return Recording(key, [folder / published.BITTREX / file for file in files], life)
