"""When a request is sent again, and after how long. Pure: clock and chance are arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from mesa_sdk.errors import ApiError, InvalidOptionsError

#: Refusals after which the same request may succeed. 500 is not among them: the server failed at
#: this very request.
_STATUSES = frozenset({408, 429, 502, 503, 504})
#: Somebody else wrote at the same time, or the first sending of this request still runs.
_CODES = frozenset({"LOCK_CONFLICT"})


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how soon a request is sent again.

    The n-th wait is a random part, at least half, of `base_seconds` doubled n times, at most
    `wait_seconds_max`. A `Retry-After` of the server is waited for in full, up to
    `retry_after_seconds_max`; a longer one is raised at once. Writes carry an `Idempotency-Key`,
    so a request whose answer was lost is not done twice.
    """

    max_retries: int = 3
    base_seconds: float = 0.25
    wait_seconds_max: float = 8.0
    retry_after_seconds_max: float = 60.0

    def __post_init__(self) -> None:
        if self.max_retries < 0:
            raise InvalidOptionsError("max_retries is not negative")

    def wait(
        self,
        retry: int,
        asked_seconds: float | None,
        chance: Callable[[], float],
    ) -> float | None:
        """Seconds to wait before the retry of this number, from 0; None: give up."""
        if retry >= self.max_retries:
            return None
        most = min(self.base_seconds * 2.0**retry, self.wait_seconds_max)
        jittered = most * (0.5 + 0.5 * chance())
        if asked_seconds is None:
            return jittered
        if asked_seconds > self.retry_after_seconds_max:
            return None
        # Not before the time asked for, and not all clients at the same moment after it.
        return asked_seconds + jittered * 0.5


def worth_another(refusal: ApiError) -> bool:
    """Whether the same request may succeed later."""
    return refusal.status_code in _STATUSES or refusal.code in _CODES


def asked_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """What `Retry-After` says: seconds, or a date."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=timezone.utc)
    return max(0.0, (at - (now or datetime.now(timezone.utc))).total_seconds())
