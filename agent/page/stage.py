"""The stage as HTML: where media are dropped, then the media, then the masks over them."""

from html import escape

from agent.page.uploads import MEDIA, PREVIEW, Upload
from agent.result import Result
from agent.saving import OVERLAY, VIDEO
from agent.server.runs import Finished

_ACCEPT = "image/png,image/jpeg,image/webp,image/gif,video/*"
_INPUT = f'<input type="file" accept="{_ACCEPT}" aria-label="Choose a picture or a clip">'
_SCRUB = (
    '<div class="scrub"><button type="button" class="play" aria-label="Play or pause"></button>'
    '<input type="range" min="0" max="{last}" value="{frame}" step="1" aria-label="Frame">'
    "<output>{frame} / {last}</output></div>"
)

EMPTY = (
    f'<div class="stage empty"><label class="drop">{_INPUT}'
    '<span class="plus" aria-hidden="true">+</span><b>Drop a picture or a clip here</b>'
    "<span>or tap to choose one. It stays on this server and is forgotten after a while.</span></label>"
    '<p class="slip" role="alert" hidden></p></div>'
)


def show_media(upload: Upload) -> str:
    """Return the stage with what was dropped."""
    at = f"media/{upload.id}"
    preview = f'<img src="{at}/{PREVIEW}" alt="What was dropped">'
    if upload.kind == "image":
        return _stage(f'<div class="frame">{preview}</div>', _size(upload))
    video = _video(f"{at}/{MEDIA}", f"{at}/{PREVIEW}", upload.fps, 0)
    return _stage(f'<div class="frame">{video}</div>{_scrub(upload.frames, 0)}', _size(upload))


def show_masks(upload: Upload, finished: Finished) -> str | None:
    """Return the stage with the masks over the media; None if no picture of them could be kept."""
    result, at = finished.result, f"../v1/files/{finished.run_id}"
    if OVERLAY not in finished.files or not result.found:
        return None
    if VIDEO in finished.files:
        frame = result.keyframe or 0
        video = _video(f"{at}/{VIDEO}", f"{at}/{OVERLAY}", result.media.fps, frame)
        return _stage(f'<div class="frame masked">{video}</div>{_scrub(upload.frames, frame)}', _size(upload))
    overlay = f'<img class="overlay" src="{at}/{OVERLAY}" alt="{_alt(result)}">'
    below = f'<img src="media/{upload.id}/{PREVIEW}" alt="">' if upload.kind == "image" else ""
    toggle = '<label class="toggle"><input type="checkbox" checked> masks</label>' if below else ""
    return _stage(f'{toggle}<div class="frame masked">{below}{overlay}</div>', _size(upload))


def _alt(result: Result) -> str:
    return escape(f"Masks of {len(result.instances)} objects over the picture")


def _stage(inner: str, told: str) -> str:
    bar = f'<div class="bar"><span>{told}</span><label class="swap">{_INPUT}Choose another</label></div>'
    return f'<div class="stage">{inner}{bar}<p class="slip" role="alert" hidden></p></div>'


def _video(url: str, poster: str, fps: float, frame: int) -> str:
    return (
        f'<video src="{url}" poster="{poster}" data-fps="{fps:.6f}" data-frame="{frame}" muted loop playsinline '
        'preload="auto" aria-label="The clip"></video>'
    )


def _scrub(frames: int, frame: int) -> str:
    return _SCRUB.format(last=frames - 1, frame=frame)


def _size(upload: Upload) -> str:
    size = f"{upload.width} &times; {upload.height}"
    return size if upload.kind == "image" else f"{size} · {upload.frames} frames · {upload.fps:.3g} per second"
