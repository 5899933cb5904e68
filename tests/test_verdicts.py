import pytest

from bot.gateways import verdicts
from bot.models import FailureKind

PROMPT = FailureKind.PROMPT_REFUSED
PICTURE = FailureKind.PICTURE_REFUSED
VIDEO = FailureKind.VIDEO_REFUSED
BAD = FailureKind.BAD_REQUEST
ACCESS = FailureKind.NO_ACCESS
BALANCE = FailureKind.NO_BALANCE
DOWN = FailureKind.GATEWAY_DOWN
GONE = FailureKind.MODEL_GONE
LATE = FailureKind.TIMED_OUT
EMPTY = FailureKind.NO_OUTPUT


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "Insufficient credits", BALANCE),
        (402, "", BALANCE),
        (402, "Content violates provider policy", BALANCE),
        (400, "Insufficient Balance: Your wallet does not have enough balance. Required: $0.01", BALANCE),
        (403, "insufficient account balance", BALANCE),
        (400, "Content violates provider policy, please adjust the prompt", PROMPT),
        (403, "Content violates provider policy", PROMPT),
        (403, "content was rejected, revise the prompt or input", PROMPT),
        (403, "Request blocked by our safety system", PROMPT),
        (400, "Your request was blocked by our moderation system.", PROMPT),
        (400, "SensitiveContentDetected", PROMPT),
        (400, "ProhibitedContentDetected: try another prompt", PROMPT),
        (403, "Key or route cannot access the model", ACCESS),
        (403, "This API key has no permission for the model", ACCESS),
        (403, "IP 203.0.113.9 is not allowed by the key's policy", ACCESS),
        (403, "Model access disabled for this key", ACCESS),
        (403, "", ACCESS),
        (401, "Invalid or missing API key", ACCESS),
        (401, "Model not found", ACCESS),
        (404, "Not found", GONE),
        (410, "Gone", GONE),
        (400, "Model not found: Model 'sora-video' not found or is disabled", GONE),
        (400, "The model `sora-2` does not exist", GONE),
        (400, "Model sora-2 pro has been deprecated", GONE),
        (500, "This model is temporarily paused", GONE),
        (400, "Unsupported model: sora-2", GONE),
        (400, "model sora-2 is no longer available", GONE),
        (503, "Model temporarily unavailable", DOWN),
        (500, "Server error", DOWN),
        (400, "Cannot access provided image URL", PICTURE),
        (400, "The image URL cannot be fetched or decoded by the upstream service", PICTURE),
        (400, "Unsupported image dimensions 640x480", PICTURE),
        (400, "Input image was flagged by safety checks", PICTURE),
        (400, "Images containing real people are refused", PICTURE),
        (400, "The generated video violates our content policy", VIDEO),
        (400, "Output flagged by moderation", VIDEO),
        (400, "Invalid request: Missing required field: input.prompt", BAD),
        (400, "prompt must not exceed 5000 characters", BAD),
        (429, "", FailureKind.RATE_LIMITED),
        (418, "I'm a teapot", BAD),
        (200, "what?", BAD),
    ],
)
def test_a_refusal_is_judged_by_its_status_and_its_words(status: int, words: str, kind: FailureKind) -> None:
    failure = verdicts.of_refusal(status, words)
    assert (failure.kind, failure.detail, failure.code) == (kind, words, str(status))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Your video prompt violates our policy", PROMPT),
        ("Video generation request violates the content policy", PROMPT),
        ("Prompt or image content was flagged by safety checks", PROMPT),
        ("image-to-video request violates provider policy", PROMPT),
        ("Invalid request body, parameter, prompt, or image URL shape", BAD),
        ("Invalid mode type: image-to-video", BAD),
        ("image-to-video: size 100*100 is invalid", BAD),
        ("image_urls must contain exactly 1 image URL", BAD),
        ("duration must be 4, 8 or 12 by the duration policy of provider=official", BAD),
        ("Model sora-2: resolution 4k is not supported", BAD),
        ("Model sora-2 has unknown parameter foo", BAD),
        ("model ids are case-sensitive", BAD),
        ("The police chase is missing a duration", BAD),
        ("Schema violation at input.duration", BAD),
        ("Invalid parameter: timeout", BAD),
        ('Invalid input: prompt "the model is disabled, insufficient credits, nsfw" is odd', BAD),
        ("Invalid input: prompt 'an image of a policy, flagged' is odd", BAD),
        ("Invalid input: “insufficient balance”", BAD),
    ],
)
def test_words_that_only_sound_like_another_class_do_not_mislead(words: str, kind: FailureKind) -> None:
    assert verdicts.of_refusal(400, words).kind is kind


@pytest.mark.parametrize(
    ("prompt", "words", "kind"),
    [
        ("the model is disabled", "Bad input: the model is disabled", BAD),
        ("the   model\nis disabled", "Bad input: the model is disabled", BAD),
        ("insufficient credits for love", "Bad input: insufficient credits for lo", BAD),
        ("insufficient credits for love", "Content violation: insufficient credits for love", PROMPT),
        ("a", "Insufficient credits", BALANCE),
        ("Insufficient funds, a drama", "Insufficient credits", BALANCE),
    ],
)
def test_a_prompt_that_the_gateway_repeats_says_nothing(prompt: str, words: str, kind: FailureKind) -> None:
    failure = verdicts.of_refusal(400, words, prompt=prompt)
    assert (failure.kind, failure.detail) == (kind, words)


CODES = {
    "CONTENT_VIOLATION": PROMPT,
    "NSFW_DETECTED": PROMPT,
    "SensitiveContent": PROMPT,
    "SensitiveContentDetected": PROMPT,
    "InputImageSensitiveContentDetected": PICTURE,
    "InputOutputSensitiveContentDetected": VIDEO,
    "NSFW": PROMPT,
    "ProhibitedContentDetected": PROMPT,
    "PROMPT_TOO_LONG": BAD,
    "INVALID_PROMPT": BAD,
    "PromptLengthExceeded": BAD,
    "INVALID_IMAGE_URL": PICTURE,
    "IMAGE_TOO_LARGE": PICTURE,
    "UNSUPPORTED_FORMAT": PICTURE,
    "IMAGE_DOWNLOAD_FAILED": PICTURE,
    "INVALID_LORA_URL": BAD,
    "PROCESSING_TIMEOUT": LATE,
    "MODEL_UNAVAILABLE": GONE,
    "GENERATION_FAILED": EMPTY,
    "INSUFFICIENT_CREDITS": BALANCE,
}


@pytest.mark.parametrize(("code", "kind"), CODES.items())
def test_every_documented_fail_code_has_its_class_in_any_spelling(code: str, kind: FailureKind) -> None:
    for spelling in (code, code.lower(), code.upper(), code.replace("_", "-"), code.replace("_", "")):
        failure = verdicts.of_task("its own words", spelling)
        assert (failure.kind, failure.code, failure.detail) == (kind, spelling, "its own words")
        assert verdicts.of_refusal(400, "its own words", spelling).kind is kind


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        ("OutputVideoSensitiveContentDetected", "", VIDEO),
        ("InputTextSensitiveContentDetected", "", PROMPT),
        ("CONTENT_POLICY_BREACH", "", PROMPT),
        ("E1234", "The image cannot be decoded", PICTURE),
        ("E1234", "Something new", EMPTY),
        ("", "Prompt rejected", PROMPT),
        ("", "Missing parameter", BAD),
        ("", "Invalid image", PICTURE),
        ("", "Timeout or no progress", LATE),
        ("", "Insufficient balance", BALANCE),
        ("", "Content does not meet safety guidelines", PROMPT),
        ("", "", EMPTY),
    ],
)
def test_unknown_fail_codes_are_judged_by_their_words_and_kept(
    code: str, words: str, kind: FailureKind
) -> None:
    failure = verdicts.of_task(words, code)
    assert (failure.kind, failure.code, failure.detail, failure.charged) == (kind, code, words, None)


def test_only_lack_of_access_and_of_money_stop_a_key() -> None:
    assert {ACCESS, BALANCE} == verdicts.KEY_TROUBLE
