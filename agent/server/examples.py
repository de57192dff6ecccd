"""Requests that can be sent as they stand, for the OpenAPI document."""

from pydantic.config import JsonDict

PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQMAAAAlPW0iAAAABlBMVEVaWlrIHh5vk2+2AAAAFElEQVR42mNgQAL8H5gYGDARMgAAI20BDofI/"
    "jkAAAAASUVORK5CYII="
)
"""A red square on grey, 16 pixels a side."""

QUESTION = "the red square"

CHAT: JsonDict = {
    "model": "segscout",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": QUESTION},
                {"type": "image_url", "image_url": {"url": PICTURE}},
            ],
        }
    ],
}
