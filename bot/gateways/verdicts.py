"""What a gateway's refusals and fail codes mean: both naming styles, one small set of failures."""

import re

from bot.models import Failure, FailureKind

_CODES = {
    FailureKind.PROMPT_REFUSED: (
        "CONTENT_VIOLATION NSFW_DETECTED NSFW SensitiveContent SensitiveContentDetected ProhibitedContentDetected"
    ),
    FailureKind.PICTURE_REFUSED: (
        "InputImageSensitiveContentDetected INVALID_IMAGE_URL IMAGE_TOO_LARGE UNSUPPORTED_FORMAT "
        "IMAGE_DOWNLOAD_FAILED"
    ),
    FailureKind.VIDEO_REFUSED: "InputOutputSensitiveContentDetected OutputSensitiveContentDetected",
    FailureKind.BAD_REQUEST: "PROMPT_TOO_LONG INVALID_PROMPT PromptLengthExceeded INVALID_LORA_URL",
    FailureKind.TIMED_OUT: "PROCESSING_TIMEOUT",
    FailureKind.MODEL_GONE: "MODEL_UNAVAILABLE",
    FailureKind.NO_OUTPUT: "GENERATION_FAILED",
    FailureKind.NO_BALANCE: "INSUFFICIENT_CREDITS",
}

# First match wins. A rule for pictures stands before the general one for content.
_POLICY = r"(polic|safety|violat|sensitive|nsfw|prohibit|moderat|inappropriate)"
_PICTURE = r"\b(image|picture|photo|face)s?\b"
_WORDS = (
    (
        FailureKind.NO_BALANCE,
        r"insufficient\W+(credit|balance|quota|fund)|not (have )?enough (credit|balance)",
    ),
    (
        FailureKind.MODEL_GONE,
        r"\bmodel\b.*(not found|not exist|disabled|paused|unknown|not supported|no longer|retired|deprecat"
        r"|unavailable)|(unknown|unsupported|invalid|no such|paused) model|temporarily paused",
    ),
    (FailureKind.PICTURE_REFUSED, rf"{_PICTURE}.*{_POLICY}|{_POLICY}.*{_PICTURE}"),
    (FailureKind.VIDEO_REFUSED, rf"\b(output|generated|result\w*|video)\b.*{_POLICY}"),
    (FailureKind.PROMPT_REFUSED, _POLICY),
    (
        FailureKind.PICTURE_REFUSED,
        rf"{_PICTURE}.*(fetch|access|download|decod|dimension|format|invalid|unsupported|too large|size)"
        rf"|(fetch|access|download|decod|invalid|unsupported)\w*\W.*{_PICTURE}",
    ),
    (FailureKind.TIMED_OUT, r"tim(ed?|ing)[ -]?out"),
)

_BY_STATUS = {
    401: FailureKind.NO_ACCESS,
    402: FailureKind.NO_BALANCE,
    403: FailureKind.NO_ACCESS,
    404: FailureKind.MODEL_GONE,
    410: FailureKind.MODEL_GONE,
    429: FailureKind.RATE_LIMITED,
}
_SERVER_ERROR = 500

# Kinds that stop a whole key: nothing ordered with it can work until the operator acts.
KEY_TROUBLE = frozenset({FailureKind.NO_ACCESS, FailureKind.NO_BALANCE})


def of_refusal(status: int, words: str, code: str = "") -> Failure:
    """Say what a refused request means, from its code (HTTP's, or the envelope's own), the gateway's
    fail code if it names one, and its words."""
    kind = _of_code(code)
    if kind is None and status not in {401, 402}:
        kind = _of_words(words)
    if kind is None:
        default = FailureKind.GATEWAY_DOWN if status >= _SERVER_ERROR else FailureKind.BAD_REQUEST
        kind = _BY_STATUS.get(status, default)
    return Failure(kind=kind, detail=words, code=code or str(status))


def of_task(words: str, code: str = "", *, charged: bool | None = None) -> Failure:
    """Say what the failed end of an accepted task means. Unknown codes keep their words and count as
    no output."""
    kind = _of_code(code) or _of_words(words) or FailureKind.NO_OUTPUT
    return Failure(kind=kind, detail=words, code=code, charged=charged)


def _squeeze(code: str) -> str:
    return re.sub(r"[^a-z0-9]", "", code.lower())


_KIND_OF_CODE = {_squeeze(code): kind for kind, codes in _CODES.items() for code in codes.split()}


def _of_code(code: str) -> FailureKind | None:
    return _KIND_OF_CODE.get(_squeeze(code))


def _of_words(words: str) -> FailureKind | None:
    return next((kind for kind, rule in _WORDS if re.search(rule, words, re.IGNORECASE)), None)
