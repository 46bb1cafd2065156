"""The Kling accounts of the subscription."""

from mirror.errors import AccessError
from mirror.jobs.running import opened_api, run_stoppable
from mirror.net.kling import KlingApi
from mirror.settings import Settings
from mirror.stopping import Stop
from mirror.threads import in_thread


def accounts(settings: Settings, token: str, *, stop: Stop) -> list[str]:
    """Ask for the emails of all accounts.

    Args:
        settings: the effective ones.
        token: the API token.
        stop: ends the work when it is set.

    Raises:
        AccessError: there is none, or the token is refused.
        ApiError: the API cannot be asked.
        Interrupted: stopped.
    """
    found: list[str] = []

    async def ask() -> None:
        async with opened_api(settings, token) as api:
            found.extend(await in_thread(all_accounts, api, settings))

    run_stoppable(ask(), stop)
    return found


def all_accounts(api: KlingApi, settings: Settings) -> list[str]:
    """The emails of all accounts, at least one.

    Raises:
        AccessError: there is none, or the token is refused.
        ApiError: the API cannot be asked.
    """
    emails = api.accounts()
    if not emails:
        raise AccessError(
            "the subscription has no Kling account",
            where=settings.api_url,
            hint="add the account at useapi.net",
        )
    return emails
