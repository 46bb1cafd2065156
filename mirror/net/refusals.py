"""The errors that the API's answers other than 200 stand for, with what to do about them.

useapi.net's page names 401, 402, 403, 404 and 596; all else is HTTP's own, or somebody else's who
answered in its place.
"""

from collections.abc import Mapping

from mirror.errors import AccessError, ApiError, MirrorError
from mirror.net import statuses
from mirror.net.decode import error_text
from mirror.net.json_text import without_query
from mirror.net.retry import retry_after_s
from mirror.net.strangers import page_title, stranger

_ACCESS = {
    401: (
        "the token was refused",
        "set the token of your useapi.net subscription: see `kling-mirror init --help`",
    ),
    402: (
        "the useapi.net subscription has expired",
        "renew it; what is mirrored stays as it is",
    ),
    403: (
        "{account} may not be read with this token",
        "check --email and that the token belongs to the same subscription",
    ),
    404: (
        "{account} is not configured at useapi.net",
        "check --email and --api-url, or add the account at useapi.net",
    ),
    statuses.SESSION_BROKEN: (
        "the Kling session of {account} is broken",
        "delete the account at useapi.net and add it again (your uploads stay at Kling)",
    ),
}
_CHECK_NETWORK = "check --api-url, and whether the network wants a login first (a captive portal)"


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    host: str,
    account: str | None,
    asked: str,
) -> MirrorError:
    """The error that an answer stands for.

    Args:
        status: anything but 200.
        headers: they ignore case.
        body: the answer's.
        host: the API's.
        account: the email that was asked for, or None.
        asked: the request's query, for people.
    """
    if (who := stranger(status, headers)) is not None:
        return ApiError(
            f"the API was not reached: {who}", where=host, hint="then run it again", status=status
        )
    text, wish = error_text(body)
    if title := page_title(body):
        text = f"a web page, {title}"
    said = f"({status}: {text})"
    if status in _ACCESS:
        what, hint = _ACCESS[status]
        what = what.format(account=account or "the subscription's Kling account")
        return AccessError(f"{what} {said}", where=host, hint=hint, status=status)
    if statuses.is_retried(status):
        wait_s = retry_after_s(headers, wish)
        asks = "" if wait_s is None else f", and asks to wait {wait_s:.0f} s"
        return ApiError(
            f"the API keeps failing ({status}: {text}{asks})",
            where=host,
            hint="try again later; --max-wait allows longer waits",
            retryable=True,
            retry_after_s=wait_s,
            status=status,
        )
    what, hint = f"the API refused the request {asked} {said}", "check the filters and --api-url"
    if location := headers.get("location"):
        what = f"the API redirects elsewhere ({status}, to {without_query(location)[:100]})"
        hint = _CHECK_NETWORK
    return ApiError(what, where=host, hint=hint, status=status)


def malformed(reason: str, body: bytes, *, where: str) -> ApiError:
    """The error of an answer with 200 that is not what was asked for.

    Args:
        reason: what is wrong with it.
        body: the answer's.
        where: the API's host and path.
    """
    title = page_title(body)
    reason = f"a web page, {title}" if title else reason
    return ApiError(
        f"the API did not answer what was asked: {reason}",
        where=where,
        hint=_CHECK_NETWORK if title else "check --api-url; if it is right, try again later",
        retryable=True,
        status=statuses.OK,
    )
