"""How long a server asks us to wait: as it may be said, and as nobody should say it."""

import datetime as dt
import math
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.net.retry import Pause, http_date, retry_after_s

SOME = settings(max_examples=300, deadline=None, database=None)
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
date_like = st.lists(
    st.sampled_from(
        ("Sun,", "06", "Nov", "1994", "08:49:37", "GMT", "+9999", "-2400", "99:99:99", "0", "99999")
    )
    | st.text(max_size=5),
    max_size=8,
).map(" ".join)
texts = st.text() | date_like | st.datetimes().map(str) | st.integers().map(str)


@pytest.mark.parametrize(
    ("header", "body", "seconds"),
    [
        # Seconds.
        ("0", None, 0.0),
        ("120", None, 120.0),
        (" 7 ", None, 7.0),
        ("1.5", None, 1.5),
        (None, 30, 30.0),
        (None, 2.5, 2.5),
        (None, "30", 30.0),
        # A time, by the server's own clock, whatever ours says.
        ("Sun, 06 Nov 1994 08:50:07 GMT", None, 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", None, 30.0),
        ("Sun Nov  6 08:50:07 1994", None, 30.0),
        ("Sun, 06 Nov 1994 09:50:07 +0100", None, 30.0),
        (None, "1994-11-06T08:50:07Z", 30.0),
        (None, "1994-11-06T08:50:07.500Z", 30.5),
        (None, "1994-11-06T09:50:07+01:00", 30.0),
        (None, "1994-11-06T08:50:07", 30.0),
        # What is over needs no wait.
        (DATE, None, 0.0),
        ("Sat, 05 Nov 1994 08:49:37 GMT", None, 0.0),
        (None, "1970-01-01T00:00:00Z", 0.0),
        # The header comes first; where it says nothing, the body does.
        ("5", "60", 5.0),
        ("soon", 60, 60.0),
        ("", "60", 60.0),
        # Nonsense is no wish.
        (None, None, None),
        ("soon", "later", None),
        ("-5", None, None),
        ("1e5", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("5, 6", None, None),
        ("\u0665", None, None),
        ("\u00b2", None, None),
        (".", None, None),
        (None, True, None),
        (None, False, None),
        (None, -5, None),
        (None, math.nan, None),
        (None, math.inf, None),
        (None, [5], None),
        (None, {"seconds": 5}, None),
    ],
    ids=repr,
)
def test_what_a_server_wishes(header: str | None, body: object, seconds: float | None) -> None:
    """Seconds, an HTTP date or an ISO 8601 time; anything else is as if nothing had been said."""
    headers = {"date": DATE} if header is None else {"date": DATE, "retry-after": header}
    assert retry_after_s(headers, body) == seconds


@pytest.mark.parametrize("date", [None, "", "today", "Mon, 99 Foo 2020"])
def test_without_a_date_our_clock_counts(date: str | None) -> None:
    """A wish for a time is measured from now where the server does not give its own time."""
    until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    headers = {"retry-after": format_datetime(until, usegmt=True)}
    found = retry_after_s(headers if date is None else {**headers, "date": date})
    assert found is not None
    assert 3500 < found <= 3600


@pytest.mark.parametrize(
    "wish", ["9" * 30, "9" * 5000, "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"]
)
def test_a_huge_wish_is_a_long_wait(wish: str) -> None:
    """No wish is too long to be understood: it is the caller who bounds it."""
    found = retry_after_s({"date": DATE}, wish)
    assert found is not None
    assert found > 10**9


@SOME
@given(
    header=st.none() | texts,
    date=st.none() | texts,
    body=json_values | texts,
)
def test_any_wish_is_seconds_or_none(header: str | None, date: str | None, body: object) -> None:
    """Whatever is said, the answer is nothing or a number of seconds from 0 on."""
    named = {"retry-after": header, "date": date}
    headers = {name: value for name, value in named.items() if value is not None}
    found = retry_after_s(headers, body)
    assert found is None or found >= 0


@pytest.mark.parametrize(
    "text",
    [
        DATE,
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 09:49:37 +0100",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "06 Nov 1994 08:49:37",
    ],
)
def test_every_form_of_an_http_date(text: str) -> None:
    """RFC 9110's three forms and RFC 5322's offsets name the same time; without one, it is UTC."""
    assert http_date(text) == dt.datetime(1994, 11, 6, 8, 49, 37, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "0",
        "nonsense",
        "1994-11-06T08:49:37Z",
        "Mon, 99 Foo 2020 00:00:00 GMT",
        "Thu, 30 Feb 2020 00:00:00 GMT",
        "Thu, 01 Jan 99999 00:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 +99999999",
    ],
)
def test_what_names_no_time(text: str | None) -> None:
    """A header that is no date is None, never an error."""
    assert http_date(text) is None


@SOME
@given(text=texts)
def test_any_text_is_a_time_with_its_zone_or_none(text: str) -> None:
    """Times that can be compared with ours are all that comes out."""
    found = http_date(text)
    assert found is None or found.tzinfo is not None


def test_a_wait_is_shared_until_it_is_over() -> None:
    """The longest wish counts."""
    pause = Pause(60)
    assert pause.left_s == 0
    pause.extend(30)
    pause.extend(5)
    assert 29 < pause.left_s <= 30
    assert not pause.is_too_long


def test_a_wait_beyond_the_limit_is_not_worth_it() -> None:
    """Whether it was asked for at once, or wish by wish."""
    for wishes in ([61], [40, 61]):
        pause = Pause(60)
        for wish in wishes:
            pause.extend(wish)
        assert pause.is_too_long


def test_a_success_begins_the_count_anew() -> None:
    """Only what is asked for since then adds up; but a day stays a day."""
    pause = Pause(0.05)
    pause.extend(0.01)
    while pause.left_s:
        pass
    pause.end()
    pause.extend(0.049)
    assert not pause.is_too_long
    pause.extend(86_400)
    pause.end()
    assert pause.is_too_long
