"""Tasks, portraits and answers as messages of `child_process`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from edtalk_server.child_process import pack
from edtalk_server.engine.source import Source
from edtalk_server.media.output_spec import OutputSpec
from shared_protocol.errors import EDTalkError, ErrorCode
from shared_protocol.messages import Crop

from .images import EncodedImage
from .task import DrawTask

# --- portraits -------------------------------------------------------------------------------------------------------


def pack_source(source: Source) -> bytes:
    """Return a whole source, with the further pictures of the person, as a message that gives it to a worker."""
    return pack({"give": _values_of(source)})


def _values_of(source: Source) -> dict[str, Any]:
    values = {field.name: getattr(source, field.name) for field in fields(source)}
    encoded = source.encoded
    values["is_face"] = hasattr(encoded, "picture")  # an engine's `EncodedFace`: its module needs torch
    values["encoded"] = encoded.picture if values["is_face"] else encoded
    values["crop"], values["place"] = asdict(source.crop), asdict(source.place)
    return values | {"also": [_values_of(other) for other in source.also]}


def source_of(values: dict[str, Any]) -> Source:
    """Return the source that `pack_source` was given, without the network's state: that is computed again."""
    known = {field.name: values[field.name] for field in fields(Source)}
    also = tuple(source_of(other) for other in values["also"])
    if values["is_face"]:
        from edtalk_server.engine.device_manager import EncodedFace

        known["encoded"] = EncodedFace(known["encoded"], others=tuple(other.encoded for other in also))
    known |= {"crop": Crop(**known["crop"]), "place": Crop(**known["place"]), "also": also}
    known |= {name: tuple(known[name]) for name in ("notes", "sizes", "landmarks")}
    return Source(**known | {"gives": tuple(map(tuple, known["gives"]))})


# --- tasks and answers -----------------------------------------------------------------------------------------------


def pack_task(task: DrawTask) -> bytes:
    """Return a task as a message; of its portrait only the key."""
    return pack(
        {
            "draw": task.source.key,
            "weights": task.weights,
            "output": asdict(task.output),
            "encoding": task.encoding,
        }
    )


def output_of(values: dict[str, Any]) -> OutputSpec:
    """Return the form that a task asks for."""
    return OutputSpec(**values["output"])


def pack_images(images: Sequence[EncodedImage]) -> bytes:
    """Return drawn frames as an answer."""
    return pack({"images": [[image.width, image.height, image.data] for image in images]})


def pack_error(error: EDTalkError) -> bytes:
    """Return an error as an answer."""
    return pack({"error": [str(error.code), error.cause, error.fix]})


def images_of(answer: dict[str, Any]) -> list[EncodedImage] | None:
    """Return the frames of an answer; None where the worker lacks the portrait. Raises the `EDTalkError` in it."""
    if "error" in answer:
        code, cause, fix = answer["error"]
        raise EDTalkError(ErrorCode(code), cause, fix)
    if answer.get("lacks"):
        return None
    return [EncodedImage(*image) for image in answer["images"]]
