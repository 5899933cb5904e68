"""The five dialects of `/v1/videos`, each as its own pages have it; `videos_orders.py` names those."""

from bot.money import MICROS_PER_DOLLAR
from bot.sandbox.videos_orders import (
    OPENROUTER_MODELS,
    NewApiForm,
    NewApiJson,
    OpenAiForm,
    OpenAiJson,
    OpenRouterJson,
    SglangForm,
    SglangJson,
    VllmForm,
)
from bot.sandbox.videos_terms import Dialect, Json, Refused, Seen

_SERVER_ERRORS = range(500, 600)
_NOT_FOUND = 404
_OPENROUTER_MICROS_PER_SECOND = 80_000


def _common(seen: Seen) -> Json:
    return {
        "id": seen.task.task_id,
        "object": "video",
        "model": seen.model,
        "status": seen.status,
        "progress": seen.progress,
        "created_at": seen.created_at,
    }


def _tell_openai(seen: Seen) -> Json:
    code, message = seen.error or ("", "")
    return _common(seen) | {
        "completed_at": seen.completed_at,
        "expires_at": None,
        "prompt": seen.task.request.prompt,
        "size": seen.size,
        "seconds": seen.seconds,
        "remixed_from_video_id": None,
        "error": {"code": code, "message": message} if seen.error else None,
    }


def _refuse_openai(refused: Refused) -> Json:
    kind = "server_error" if refused.status in _SERVER_ERRORS else "invalid_request_error"
    return {"error": {"message": str(refused), "type": kind, "param": None, "code": refused.code}}


def _tell_sglang(seen: Seen) -> Json:
    told = _common(seen) | {"size": seen.size, "seconds": seen.seconds, "quality": "standard"}
    told["progress"] = 100 if seen.status == "completed" else 0
    if seen.status == "completed":
        told["completed_at"] = seen.completed_at
    if seen.error:
        told["error"] = {"message": seen.error[1]}
    return told


def _refuse_sglang(refused: Refused) -> Json:
    return {"detail": str(refused)}


def _tell_vllm(seen: Seen) -> Json:
    error: Json | None = None
    if seen.error:
        code, message = seen.error
        error = {"code": 400 if code in {"moderation_blocked", "invalid_image"} else 500, "message": message}
    return _common(seen) | {
        "completed_at": seen.completed_at,
        "size": seen.size,
        "seconds": seen.seconds,
        "error": error,
    }


def _refuse_vllm(refused: Refused) -> Json:
    kind = "NotFoundError" if refused.status == _NOT_FOUND else "BadRequestError"
    return {"error": {"message": str(refused), "type": kind, "param": None, "code": refused.status}}


def _tell_newapi(seen: Seen) -> Json:
    told = _common(seen) | {"task_id": seen.task.task_id}
    if seen.status == "completed":
        told["completed_at"] = seen.completed_at
        told["metadata"] = {"url": seen.link} if seen.has_clip else {}
    if seen.error:
        code, message = seen.error
        told["error"] = {"message": message, "code": code}
    return told


def _refuse_newapi(refused: Refused) -> Json:
    return {"error": {"message": str(refused), "type": "new_api_error", "param": "", "code": refused.code}}


def _tell_openrouter(seen: Seen) -> Json:
    told: Json = {
        "id": seen.task.task_id,
        "generation_id": f"gen-{seen.task.task_id}",
        "polling_url": f"/openrouter/v1/videos/{seen.task.task_id}",
        "status": "pending" if seen.status == "queued" else seen.status,
    }
    if seen.status == "completed":
        told["unsigned_urls"] = [f"{seen.route}/content?index=0"] if seen.has_clip else []
        told["urls"] = [f"{seen.link}?signature={seen.task.task_id[-8:]}"] if seen.has_clip else []
        told["usage"] = {"cost": seen.task.price_micros / MICROS_PER_DOLLAR, "is_byok": False}
    if seen.error:
        told["error"] = seen.error[1]
    return told


def _event_openrouter(seen: Seen) -> Json:
    told = _tell_openrouter(seen)
    return {
        "type": f"video.generation.{seen.status}",
        "created_at": seen.completed_at,
        "data": told | {"model": seen.model},
    }


def _refuse_openrouter(refused: Refused) -> Json:
    return {"error": {"code": refused.status, "message": str(refused)}}


def _list_openrouter() -> Json:
    price = f"{_OPENROUTER_MICROS_PER_SECOND / MICROS_PER_DOLLAR:.2f}"
    return {
        "data": [
            {
                "id": name,
                "canonical_slug": name,
                "supported_durations": has.durations,
                "supported_resolutions": has.resolutions,
                "supported_aspect_ratios": has.ratios,
                "supported_frame_images": has.frames,
                "generate_audio": True,
                "seed": True,
                "pricing_skus": {"duration_seconds": price},
            }
            for name, has in OPENROUTER_MODELS.items()
        ]
    }


DIALECTS = (
    Dialect(
        name="openai",
        tell=_tell_openai,
        refuse=_refuse_openai,
        as_json=OpenAiJson,
        as_form=OpenAiForm,
        picture_must_fit=True,
        models=("sora-2", "sora-2-pro"),
        id_prefix="video_",
        headers={"openai-poll-after-ms": "2000"},
        not_ready=(400, "The video is not ready yet"),
        variant=("variant", "video"),
        delete="ended",
    ),
    Dialect(
        name="sglang",
        tell=_tell_sglang,
        refuse=_refuse_sglang,
        as_json=SglangJson,
        as_form=SglangForm,
        form_needs_file=True,  # in older builds
        models=("Wan-AI/Wan2.2-TI2V-5B-Diffusers",),
        id_prefix="",
        not_ready=(404, "Generation is still in-progress"),
        variant=("variant", "0"),  # the number of the output
        delete="forgets",
    ),
    Dialect(
        name="vllm-omni",
        tell=_tell_vllm,
        refuse=_refuse_vllm,
        as_json=None,
        as_form=VllmForm,
        models=("Wan-AI/Wan2.2-TI2V-5B-Diffusers",),
        id_prefix="video_gen_",
        otherwise_seconds=1 / 24,  # one frame
        not_ready=(404, "The video is not generated yet"),
        delete="aborts",
    ),
    Dialect(
        name="newapi",
        tell=_tell_newapi,
        refuse=_refuse_newapi,
        as_json=NewApiJson,
        as_form=NewApiForm,
        models=("muse-video", "veo-3.1", "wan-2.6"),
        is_closed=True,
        id_prefix="task_",
        micros_per_second=50_000,
        not_ready=(400, "Task is not completed yet"),
    ),
    Dialect(
        name="openrouter",
        tell=_tell_openrouter,
        refuse=_refuse_openrouter,
        event=_event_openrouter,
        as_json=OpenRouterJson,
        as_form=None,
        models=tuple(OPENROUTER_MODELS),
        is_closed=True,
        list_models=_list_openrouter,
        models_route="/videos/models",
        id_prefix="job-",
        accepted_status=202,
        micros_per_second=_OPENROUTER_MICROS_PER_SECOND,
        not_ready=(400, "The video is not ready yet"),
        variant=("index", "0"),
    ),
)
