"""Everything this package raises: one tree with :class:`MesaError` at its root.

``` text
MesaError
├── InvalidOptionsError, InvalidApiUrlError, MissingCredentialError    before anything is sent
├── MissingWebhookSecretError, WebhookVerificationError, WebhookHandlerError
├── OrgResolutionError          the credential does not say which org it belongs to
├── MissingDependencyError      an optional package is needed
├── NativeModuleMissingError    mounting in the process needs the native module
├── TransportError              no answer: ConnectionFailedError, TimedOutError
├── MalformedResponseError      an answer that is not what the contract says
└── ApiError                    the server refused: a class per status
```
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mesa_sdk.models import ConflictedPath


class MesaError(Exception):
    """Anything this package raises. `code` is stable, for programs; the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        # Constructors differ; what makes an error is its text and its attributes.
        return (_rebuilt, (type(self), self.args, self.__dict__))


def _rebuilt(cls: type[MesaError], args: tuple[Any, ...], state: dict[str, Any]) -> MesaError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidOptionsError(MesaError, ValueError):
    """Arguments that cannot be right, found before anything was sent."""

    def __init__(self, message: str) -> None:
        super().__init__("INVALID_OPTIONS", message)


class InvalidApiUrlError(MesaError):
    """The server's address is not an http or https URL."""

    def __init__(self, api_url: str) -> None:
        super().__init__("INVALID_API_URL", f"not an http or https URL: {api_url!r}")
        self.api_url = api_url


class MissingCredentialError(MesaError):
    """Neither an argument nor an environment variable gives a credential."""

    def __init__(self, message: str) -> None:
        super().__init__("MISSING_CREDENTIAL", message)


#: What 0.38 called it.
MissingApiKeyError = MissingCredentialError


class MissingDependencyError(MesaError, ImportError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        message = f"this needs the package {package!r}: pip install 'mesa-sdk[{extra}]'"
        super().__init__("MISSING_DEPENDENCY", message)
        self.package = package


class NativeModuleMissingError(MesaError, ImportError):
    """Mounting needs the native module, which is not in this installation."""

    def __init__(self) -> None:
        message = (
            "mounting in the process needs the native module mesa_sdk._native, which this "
            "installation does not have (there is none for this platform, or it was installed from "
            "source); "
            "`mesa mount` offers the same repos as a directory"
        )
        super().__init__("NATIVE_MODULE_MISSING", message)


class OrgResolutionError(MesaError):
    """It could not be found out which org, or which key, a credential belongs to."""

    def __init__(self, message: str) -> None:
        super().__init__("ORG_RESOLUTION", message)


class MissingWebhookSecretError(MesaError):
    """A delivery cannot be verified without the target's secret."""

    def __init__(self) -> None:
        message = "no webhook secret: pass webhook_secret or set MESA_WEBHOOK_SECRET"
        super().__init__("MISSING_WEBHOOK_SECRET", message)


class WebhookVerificationError(MesaError):
    """A delivery that the target's secret did not sign, or that is too old, or no event."""

    def __init__(self, message: str) -> None:
        super().__init__("WEBHOOK_VERIFICATION", message)


#: What the published clients call it.
MesaWebhookVerificationError = WebhookVerificationError


class WebhookHandlerError(MesaError):
    """Handlers of an event failed; the others ran all the same."""

    def __init__(self, errors: list[Exception]) -> None:
        text = "; ".join(f"{type(e).__name__}: {e}" for e in errors)
        super().__init__("WEBHOOK_HANDLER", f"{len(errors)} webhook handlers failed: {text}")
        self.errors = errors


class TransportError(MesaError):
    """No answer came. `__cause__` is the HTTP client's error."""


class ConnectionFailedError(TransportError):
    """The server could not be reached, or the connection broke."""

    def __init__(self, message: str) -> None:
        super().__init__("CONNECTION_FAILED", message)


class TimedOutError(TransportError, TimeoutError):
    """The server did not answer in time."""

    def __init__(self, message: str) -> None:
        super().__init__("TIMED_OUT", message)


class MalformedResponseError(MesaError):
    """A success whose body is not what the contract says."""

    def __init__(self, message: str) -> None:
        super().__init__("MALFORMED_RESPONSE", message)


@dataclass(frozen=True)
class ErrorBody:
    """`error` of a refusal."""

    code: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trace_id: str | None = None


@dataclass(frozen=True)
class ErrorEnvelope:
    """The body of a refusal."""

    error: ErrorBody
    trace_id: str | None = None


class ApiError(MesaError):
    """The server refused.

    `status_code` tells the class of the refusal, `code` is the server's narrower one (such as
    `REPO_NOT_FOUND`), `details` holds facts by code, `trace_id` finds the request in the server's
    log. `body` is the parsed envelope, or the text if it was none.
    """

    def __init__(
        self,
        status_code: int,
        body: ErrorEnvelope | str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        headers = headers or {}
        if isinstance(body, ErrorEnvelope):
            code, message = body.error.code, body.error.message
        else:
            code = f"API_ERROR_{status_code}"
            message = f"HTTP status {status_code}: {body[:200]}" if body else f"HTTP {status_code}"
        super().__init__(code, message)
        envelope = body if isinstance(body, ErrorEnvelope) else None
        self.status_code = status_code
        self.body = body
        self.headers = dict(headers)
        self.details: Mapping[str, Any] = envelope.error.details if envelope else {}
        of_body = (envelope.trace_id or envelope.error.trace_id) if envelope else None
        self.trace_id: str | None = of_body or headers.get("x-request-id")

    def __repr__(self) -> str:
        facts = f"{self.status_code}, {self.code!r}, {self.message!r}, trace_id={self.trace_id!r}"
        return f"{type(self).__name__}({facts})"


class ValidationError(ApiError):
    """400: a wrong name, number, body or query value, or something this server does not offer."""


class AuthenticationError(ApiError):
    """401: no credential, or none that is valid (any more)."""


class AuthorizationError(ApiError):
    """403: the credential does not carry the scope."""


class NotFoundError(ApiError):
    """404: does not exist, or the credential cannot see it."""


class MethodNotAllowedError(ApiError):
    """405: the path exists with other methods."""


class NotAcceptableError(ValidationError):
    """406: the wanted representation is not available."""


class RequestTimeoutError(ApiError):
    """408: the body did not arrive in time."""


class ConflictError(ApiError):
    """409: the state does not allow this."""


class MergeConflictError(ConflictError):
    """409 `MERGE_CONFLICT`: what to resolve is in `conflict_paths` and `conflicts`."""

    @property
    def conflict_paths(self) -> list[str]:
        """The paths in conflict."""
        return list(self.details.get("conflict_paths", []))

    @property
    def conflicts(self) -> list[ConflictedPath]:
        """The same with their hunks, whose `hunk_id`s are what resolutions name."""
        # The models' errors are of this module.
        from mesa_sdk.models import ConflictedPath  # noqa: PLC0415

        return [ConflictedPath.from_dict(one) for one in self.details.get("conflicts", [])]


class PayloadTooLargeError(ApiError):
    """413: the body is larger than the server takes."""


class UriTooLongError(ApiError):
    """414: the request line is longer than the server takes."""


class UnsupportedMediaTypeError(ApiError):
    """415: the body is not of a type the route reads."""


class RangeNotSatisfiableError(ApiError):
    """416: the range lies outside the content."""


class RateLimitError(ApiError):
    """429: too many requests, also after the retries."""


class ServerError(ApiError):
    """500 and above: the server failed."""


class UnavailableError(ServerError):
    """502, 503, 504: the server cannot answer now."""


class StorageFullError(ServerError):
    """507: the server has no room left."""


STATUS_CLASSES: Mapping[int, type[ApiError]] = {
    400: ValidationError,
    401: AuthenticationError,
    403: AuthorizationError,
    404: NotFoundError,
    405: MethodNotAllowedError,
    406: NotAcceptableError,
    408: RequestTimeoutError,
    409: ConflictError,
    413: PayloadTooLargeError,
    414: UriTooLongError,
    415: UnsupportedMediaTypeError,
    416: RangeNotSatisfiableError,
    429: RateLimitError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
    507: StorageFullError,
}

CODE_CLASSES: Mapping[str, type[ApiError]] = {"MERGE_CONFLICT": MergeConflictError}


def refusal(status_code: int, text: str, headers: Mapping[str, str]) -> ApiError:
    """The error for an answer that is no success, whatever its body is."""
    body = _envelope(text)
    code = body.error.code if isinstance(body, ErrorEnvelope) else ""
    other = ServerError if status_code >= 500 else ApiError  # noqa: PLR2004
    found = CODE_CLASSES.get(code) or STATUS_CLASSES.get(status_code, other)
    return found(status_code, body, headers)


def _envelope(text: str) -> ErrorEnvelope | str:
    try:
        parsed: Any = json.loads(text)
    except ValueError:
        return text
    if not isinstance(parsed, dict):
        return text
    whole = cast("dict[str, Any]", parsed)
    error = whole.get("error")
    if not isinstance(error, dict):
        return text
    inner = cast("dict[str, Any]", error)
    code, message, details = inner.get("code"), inner.get("message"), inner.get("details")
    if not isinstance(code, str) or not isinstance(message, str):
        return text
    kept = cast("dict[str, Any]", details) if isinstance(details, dict) else {}
    body = ErrorBody(code, message, kept, _text(inner.get("trace_id")))
    return ErrorEnvelope(body, _text(whole.get("trace_id")))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
