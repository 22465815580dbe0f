"""Which of a provider's own bars are compared with ours, and what counts as equal."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from pipeline.aggregation import TIMEFRAME_SCHEMA, Market, Parts, Spans, aggregate
from pipeline.calendars import open_months, session_days, session_named
from pipeline.crosscheck import TOLERANCE, Comparison, compare
from pipeline.crosschecking import fitting, questions, usual_range
from pipeline.intervals import MINUTE, Interval
from pipeline.providers.errors import MalformedAnswer
from pipeline.timeframes import Timeframe
from tests.making import at, bar, span, table

MARCH = span("2024-03-01", "2024-04-01")
OTHERS = [Timeframe.named(name) for name in ("5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo")]


def market_of(session: str, answered: Interval | None = None) -> Market:
    """Return a market in March 2024 and around it."""
    rule = session_named(session)
    first, last = date(2024, 2, 1), date(2024, 4, 30)
    open_ = [one for month in open_months(rule, first, last) for one in month.open]
    known = [both for one in open_ if (both := one.intersection(answered or MARCH))]
    return Market(session_days(rule, first, last), Spans(open_), Spans(open_), Spans(known))


def minutes(during: Interval, step: int = 1) -> pa.Table:
    stamps = [during.start + timedelta(minutes=n) for n in range(0, during.minutes, step)]
    return table(bar(ts, 100 + ts.minute / 7, trades=3) for ts in stamps)


def built(timeframe: str, market: Market, during: Interval) -> pa.Table:
    """Return our bars of a time in which every minute was traded."""
    days = minutes(span("2024-02-26", "2024-04-08"))
    below = aggregate(Parts.of(days, market), Timeframe.named("1d"), market)
    one = Timeframe.named(timeframe)
    bars = aggregate(Parts.of(days if one.period is None else below, market), one, market)
    kept = [row for row in bars.to_pylist() if row["ts"] in during]
    return pa.Table.from_pylist(kept, schema=TIMEFRAME_SCHEMA)


def theirs(ours: pa.Table, starts: Sequence[datetime] = (), **other: Any) -> pa.Table:
    """Return bars of theirs with our values, beginning where they say."""
    names = ("ts", "open", "high", "low", "close", "volume", "vwap", "trades")
    rows = [{name: row[name] for name in names} | other for row in ours.to_pylist()]
    for row, start in zip(rows, starts, strict=False):
        row["ts"] = start
    return table(rows)


def checked(
    timeframe: str,
    ours: pa.Table,
    their: pa.Table,
    market: Market,
    during: Interval = MARCH,
) -> Comparison:
    named = Timeframe.named(timeframe)
    return compare(ours, their, named, market, during=during, others=OTHERS)


@pytest.mark.parametrize("timeframe", ["5m", "1h", "4h", "1d"])
def test_bars_of_a_market_that_never_closes_agree_where_they_begin_and_end_together(
    timeframe: str,
) -> None:
    market = market_of("24x7")
    ours = built(timeframe, market, MARCH)

    found = checked(timeframe, ours, theirs(ours), market)

    assert found.agree == ours.num_rows == MARCH.minutes // Timeframe.named(timeframe).shortest
    assert found.sound
    assert (found.outside, found.incomplete, found.cut_theirs) == (0, 0, 0)


def test_every_value_that_differs_is_told_and_bars_are_counted_once() -> None:
    market = market_of("24x7")
    ours = built("1h", market, MARCH)
    rows = theirs(ours).to_pylist()
    rows[3] |= {"low": rows[3]["low"] - 0.01, "trades": 0}
    rows[9] |= {"close": rows[9]["close"] + 1e-9}

    found = checked("1h", ours, table(rows), market)

    assert [(one.ts, one.column) for one in found.differences] == [
        (rows[3]["ts"], "low"),
        (rows[3]["ts"], "trades"),
        (rows[9]["ts"], "close"),
    ]
    assert (found.differ, found.agree, found.sound) == (2, ours.num_rows - 2, False)
    assert found.differences[1].theirs == 0
    assert found.differences[1].ours == 180


@pytest.mark.parametrize(("share", "differ"), [(0.9, 0), (-0.9, 0), (1.1, 31)])
def test_volumes_may_differ_by_what_rounding_makes_of_a_sum(share: float, differ: int) -> None:
    market = market_of("24x7")
    ours = built("1d", market, MARCH)
    [volume] = set(ours["volume"].to_pylist())

    found = checked("1d", ours, theirs(ours, volume=volume * (1 + share * TOLERANCE)), market)

    assert found.differ == differ


def test_what_either_side_lacks_is_not_compared() -> None:
    market = market_of("24x7")
    ours = built("1h", market, MARCH)
    assert checked("1h", ours, theirs(ours, trades=None, volume=None), market).sound
    column = TIMEFRAME_SCHEMA.get_field_index("trades")
    lacking = ours.set_column(
        column, TIMEFRAME_SCHEMA.field("trades"), pa.nulls(ours.num_rows, pa.int64())
    )
    assert checked("1h", lacking, theirs(ours), market).sound


def test_bars_that_one_side_lacks_are_named() -> None:
    market = market_of("24x7")
    ours = built("1h", market, MARCH)

    found = checked("1h", ours.slice(2), theirs(ours).slice(0, ours.num_rows - 1), market)

    assert found.only_theirs == ours["ts"][:2].to_pylist()
    assert found.only_ours == [ours["ts"][-1].as_py()]
    assert (found.agree, found.differ, found.sound) == (ours.num_rows - 3, 0, False)


def test_what_is_still_to_come_is_left_out_whether_a_part_is_there_or_not() -> None:
    market = market_of("24x7", answered=span("2024-03-01", "2024-03-20T12:30"))
    ours = built("1h", market, span("2024-03-01", "2024-03-20T15:00"))
    their = theirs(built("1h", market, span("2024-03-01", "2024-03-20T18:00")), high=1e6)

    found = checked("1h", ours, their, market, span("2024-03-01", "2024-03-20T18:00"))

    assert found.incomplete == 6
    assert found.differ == found.compared == 19 * 24 + 12
    assert not found.only_theirs


def test_a_bar_without_a_trade_of_ours_is_theirs_alone_once_it_was_answered() -> None:
    market = market_of("24x7", answered=span("2024-03-01", "2024-03-20"))
    ours = built("1h", market, span("2024-03-01", "2024-03-19"))

    found = checked("1h", ours, theirs(built("1h", market, MARCH)), market)

    assert len(found.only_theirs) == 24
    assert found.incomplete == 12 * 24


@pytest.mark.parametrize("hours_of_midnight", [4, 5])
def test_days_of_a_stock_are_matched_by_their_dates(hours_of_midnight: int) -> None:
    market = market_of("XNYS")
    ours = built("1d", market, MARCH)
    starts = [
        datetime.combine(day, datetime.min.time(), MARCH.start.tzinfo)
        + timedelta(hours=hours_of_midnight)
        for day in ours["session_date"].to_pylist()
    ]

    found = checked("1d", ours, theirs(ours, starts), market)

    assert found.agree == ours.num_rows == 20
    assert found.sound


@pytest.mark.parametrize(("timeframe", "bars"), [("1w", 4), ("1mo", 1)])
def test_weeks_and_months_of_a_stock_from_midnight_are_ours_from_the_first_opening(
    timeframe: str, bars: int
) -> None:
    market = market_of("XNYS")
    during = MARCH if timeframe == "1mo" else span("2024-03-04", "2024-03-29")
    ours = built(timeframe, market, during)
    starts = [
        datetime.combine(day, datetime.min.time(), MARCH.start.tzinfo) + timedelta(hours=5)
        for day in ours["session_date"].to_pylist()
    ]

    found = checked(timeframe, ours, theirs(ours, starts), market, during)

    assert (found.agree, found.cut_theirs, found.sound) == (bars, 0, True)


@pytest.mark.parametrize(
    ("session", "midnight"),
    [("XTKS", timedelta(hours=-9)), ("XLON", timedelta()), ("XNYS", timedelta(hours=5))],
)
def test_a_month_that_begins_at_midnight_anywhere_is_that_month(
    session: str, midnight: timedelta
) -> None:
    market = market_of(session)
    ours = built("1mo", market, MARCH)

    found = checked("1mo", ours, theirs(ours, [MARCH.start + midnight]), market)

    assert (found.agree, found.sound) == (1, True)


def test_hours_on_the_clock_are_counted_and_not_compared_and_what_fits_is_named() -> None:
    market = market_of("XNYS")
    ours = built("1h", market, MARCH)
    their = minutes(span("2024-03-01T09:00", "2024-03-29"), 60)

    found = checked("1h", ours, their, market)

    assert (found.compared, found.only_ours, found.only_theirs) == (0, [], [])
    assert found.cut_ours == ours.num_rows == 140
    assert found.cut_theirs == 140
    assert found.comparable == ["5m", "15m", "30m", "1d", "1w", "1mo"]
    assert found.example is not None
    assert found.example.minutes == 60
    assert found.outside == their.num_rows - 140
    assert not found.sound


def test_half_hours_of_a_stock_agree_and_those_of_extended_hours_are_outside() -> None:
    market = market_of("XNYS")
    ours = built("30m", market, MARCH)
    extended = minutes(span("2024-03-04T09:00", "2024-03-04T14:30"), 30)

    found = checked("30m", ours, pa.concat_tables([theirs(ours), extended]), market)

    assert (found.agree, found.outside, found.sound) == (ours.num_rows, 11, True)


def test_a_last_bar_that_the_close_cuts_short_is_the_same_as_a_whole_one_of_theirs() -> None:
    market = market_of("XNYS")
    ours = built("1h", market, MARCH)

    found = checked("1h", ours, theirs(ours), market)

    assert (found.agree, found.cut_theirs, found.sound) == (140, 0, True)


def test_weeks_that_begin_on_another_day_are_cut_otherwise() -> None:
    market = market_of("24x7")
    ours = built("1w", market, MARCH)
    starts = [ts - timedelta(days=4) for ts in ours["ts"].to_pylist()]

    found = checked("1w", ours, theirs(ours, starts), market)

    assert (found.compared, found.only_ours, found.only_theirs) == (0, [], [])
    assert found.cut_ours > 0
    assert found.comparable == ["5m", "15m", "30m", "1h", "4h", "1d"]


def test_the_price_of_the_moment_beside_a_bar_is_not_that_bar() -> None:
    market = market_of("XNYS")
    ours = built("1d", market, MARCH)
    starts = [ts + timedelta(hours=-1) for ts in ours["ts"].to_pylist()]
    extra = theirs(ours.slice(5, 1), [ours["ts"][5].as_py()], close=1.0)

    found = checked("1d", ours, pa.concat_tables([theirs(ours, starts), extra]), market)

    assert (found.agree, found.differ, found.cut_theirs) == (20, 0, 1)


def test_no_bars_of_theirs_leave_ours_alone() -> None:
    market = market_of("24x7")
    ours = built("1h", market, MARCH)
    found = checked("1h", ours, table([]), market)
    assert (len(found.only_ours), found.compared, found.sound) == (ours.num_rows, 0, False)


def test_questions_hold_all_of_a_time_and_begin_earlier_only_while_the_market_is_closed() -> None:
    hour = Timeframe.named("1h")
    always, stocks = market_of("24x7").open, market_of("XNYS").open
    whole = span("2024-03-04", "2024-03-10")
    session = span("2024-03-04T14:30", "2024-03-08T21:00")

    assert list(questions(whole, hour, always, 2 * 1440)) == list(whole.split(2 * 1440))
    assert questions(session, hour, stocks, 10**9) == [span("2024-03-04T13:30", "2024-03-08T21:00")]
    day = Timeframe.named("1d")
    assert questions(session, day, stocks, 10**9)[0].start == at("2024-03-03T14:30")


def test_the_usual_range_is_thirty_days_less_if_they_take_many_requests_or_one_bar() -> None:
    newest = span("2024-03-31T23:00", "2024-04-01")
    assert usual_range(newest, 10**9) == Interval(newest.end - timedelta(days=30), newest.end)
    assert usual_range(newest, 1440) == Interval(newest.end - timedelta(days=9), newest.end)
    assert usual_range(MARCH, 10**9) == MARCH


def test_an_answer_holds_what_was_asked_and_each_bar_once() -> None:
    hour, window = Timeframe.named("1h"), span("2024-03-04", "2024-03-05")
    fits = minutes(window, 60)
    early = minutes(span("2024-03-03T23:30", "2024-03-03T23:31"))

    once = fitting("x", window, hour, pa.concat_tables([early, fits, fits.slice(0, 3)]))
    assert once.sort_by("ts") == fits

    other = table([bar(window.start, 1.0)])
    for wrong in (other, minutes(span("2024-03-05", "2024-03-05T01:00"), 60)):
        with pytest.raises(MalformedAnswer):
            fitting("x", window, hour, pa.concat_tables([fits, wrong]))
    before = minutes(Interval(window.start - 61 * MINUTE, window.start - 60 * MINUTE))
    with pytest.raises(MalformedAnswer):
        fitting("x", window, hour, before)
