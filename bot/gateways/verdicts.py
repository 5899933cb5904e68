"""What a gateway's refusals and fail codes mean: both naming styles, one small set of failures."""

import re

from bot.models import Failure, FailureKind

# Kinds that stop a whole key: nothing ordered with it can work until the operator acts.
KEY_TROUBLE = frozenset({FailureKind.NO_ACCESS, FailureKind.NO_BALANCE})

_CODES = {
    FailureKind.PROMPT_REFUSED: (
        "CONTENT_VIOLATION NSFW_DETECTED NSFW "
        "SensitiveContent SensitiveContentDetected ProhibitedContentDetected"
    ),
    FailureKind.PICTURE_REFUSED: (
        "INVALID_IMAGE_URL IMAGE_TOO_LARGE UNSUPPORTED_FORMAT IMAGE_DOWNLOAD_FAILED "
        "InputImageSensitiveContentDetected"
    ),
    FailureKind.VIDEO_REFUSED: "InputOutputSensitiveContentDetected OutputSensitiveContentDetected",
    FailureKind.BAD_REQUEST: "PROMPT_TOO_LONG INVALID_PROMPT PromptLengthExceeded INVALID_LORA_URL",
    FailureKind.TIMED_OUT: "PROCESSING_TIMEOUT",
    FailureKind.MODEL_GONE: "MODEL_UNAVAILABLE",
    FailureKind.NO_OUTPUT: "GENERATION_FAILED",
    FailureKind.NO_BALANCE: "INSUFFICIENT_CREDITS",
}

# "policy" alone may be the one of routes, durations or retries, which no content breaks.
_POLICY = (
    r"(?:(?<!duration )(?<!retry )(?<!limit )\bpolic(?:y|ies)\b"
    r"|\b(?:safety|guidelines|moderation|moderated|nsfw|prohibited|inappropriate|flagged)"
    r"|(?<!case.)\bsensitive|\bcontent.violat"
    r"|\b(?:prompt|content)\W+(?:was |is |has been )?(?:rejected|refused|blocked))"
)
_PICTURE = r"\b(?:image|picture|photo|face)s?\b(?!.to.video)"
_GONE = r"(?:not found|not exist|is unknown|disabled|paused|no longer|retired|deprecated|discontinued)"

# First match wins: what stops a key or a model, then what broke a policy, then the rest.
_RULES = (
    (
        FailureKind.NO_BALANCE,
        r"\binsufficient\W+(?:\w+ )?(?:credit|balance|quota|fund)",
        r"\bnot (?:have )?enough (?:credit|balance)",
    ),
    (
        FailureKind.MODEL_GONE,
        rf"\bmodel(?! access)\b(?: [^\s:;,.]+){{0,4}} {_GONE}",
        r"\bmodel(?: (?!temporarily|currently)[^\s:;,.]+)?(?: is)? (?:not supported|not available)\b",
        r"\bmodel(?: (?!temporarily|currently)[^\s:;,.]+)?(?: is)? (?:unsupported|unavailable)\b",
        r"\b(?:unknown|unsupported|invalid|no such|paused) model\b",
        r"\btemporarily paused",
    ),
    (
        FailureKind.NO_ACCESS,
        rf"^(?!.*\b(?:prompt|content|image)\b).*\b(?:key|ip|permission)\b.*{_POLICY}",
    ),
    (FailureKind.PROMPT_REFUSED, rf"^(?=.*\b(?:prompt|text)\b).*{_POLICY}"),
    (FailureKind.PICTURE_REFUSED, rf"{_PICTURE}.*{_POLICY}", rf"{_POLICY}.*{_PICTURE}"),
    (
        FailureKind.VIDEO_REFUSED,
        rf"\b(?:output|generated|results?|video (?:was|is|has|contains|violates))\b.*{_POLICY}",
    ),
    (FailureKind.PROMPT_REFUSED, _POLICY),
    (
        FailureKind.BAD_REQUEST,
        r"\b(?:missing (?:required )?(?:field|parameter)|invalid (?:request|parameter|value)|must be one of)",
    ),
    (
        FailureKind.PICTURE_REFUSED,
        rf"{_PICTURE}.*\b(?:fetch|access|download|decod|dimension|format|invalid|unsupported|contain)",
        rf"{_PICTURE}.*\btoo (?:large|big)",
        rf"\b(?:fetch|access|download|decod)\w*\W.*{_PICTURE}",
        rf"\b(?:invalid|unsupported)\W+(?:\w+\W+){{0,2}}{_PICTURE}",
    ),
    (FailureKind.TIMED_OUT, r"\btimed?[ -]?out\b"),
)
_WORDS = tuple((kind, re.compile("|".join(rules), re.IGNORECASE)) for kind, *rules in _RULES)

_BY_STATUS = {
    401: FailureKind.NO_ACCESS,
    402: FailureKind.NO_BALANCE,
    403: FailureKind.NO_ACCESS,
    404: FailureKind.MODEL_GONE,
    410: FailureKind.MODEL_GONE,
    429: FailureKind.RATE_LIMITED,
}
_SPEAK_FOR_THEMSELVES = frozenset({401, 402})
_SERVER_ERROR = 500

_QUOTED = re.compile(r"""(?<!\w)(["'`])(?:(?!\1).)*\1(?!\w)|\u201c[^\u201d]*\u201d""")

# Shorter prompts could hide a whole rule no better than they could echo one.
_ECHO_LENGTH = 12


def of_refusal(status: int, words: str, code: str = "", *, prompt: str = "") -> Failure:
    """Say what a refused request means.

    `status` is HTTP's or the envelope's own, `code` the gateway's fail code if it names one. Where its
    words repeat the member's `prompt`, that part says nothing.
    """
    kind = _of_code(code) or _of_code(words)
    if kind is None and status not in _SPEAK_FOR_THEMSELVES:
        kind = _of_words(_without_echo(words, prompt))
    if kind is None:
        default = FailureKind.GATEWAY_DOWN if status >= _SERVER_ERROR else FailureKind.BAD_REQUEST
        kind = _BY_STATUS.get(status, default)
    return Failure(kind=kind, detail=words, code=code or str(status))


def of_task(
    words: str,
    code: str = "",
    *,
    charged: bool | None = None,
    otherwise: FailureKind = FailureKind.NO_OUTPUT,
) -> Failure:
    """Say what the failed end of an accepted task means; unknown codes keep their words."""
    kind = _of_code(code) or _of_words(_spaced(code)) or _of_words(words) or otherwise
    return Failure(kind=kind, detail=words, code=code, charged=charged)


def _squeeze(code: str) -> str:
    return re.sub(r"[^a-z0-9]", "", code.lower())


def _spaced(code: str) -> str:
    """Write `SOME_CODE` and `SomeCode` as words: the vocabulary is longer than the pages show."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", code)


_KIND_OF_CODE = {_squeeze(code): kind for kind, codes in _CODES.items() for code in codes.split()}


def _of_code(code: str) -> FailureKind | None:
    return _KIND_OF_CODE.get(_squeeze(code))


def _of_words(words: str) -> FailureKind | None:
    """Judge by the first rule that matches. What a gateway quotes is not what it says."""
    said = " ".join(_QUOTED.sub("", words).split()) or words
    return next((kind for kind, rule in _WORDS if rule.search(said)), None)


def _without_echo(words: str, prompt: str) -> str:
    said = " ".join(prompt.split())
    start = words.find(said[:_ECHO_LENGTH])
    if len(said) < _ECHO_LENGTH or start < 0:
        return words
    return words[:start] + words[start + len(said) :]
