"""Files of sound and video, opened for decoding: one decoder, FFmpeg's libraries through PyAV, for all of them.

A file from outside may be a play list, a list of parts or a description of a stream that names other files or
addresses. So only containers that hold their own data are opened, only decoders of sound and pictures run, and whatever
a file asks to open beside itself is refused. What is opened is a regular file or bytes: a pipe or a device would never
end.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import Any, NoReturn

import av
from av.container import InputContainer
from av.stream import Disposition

from edtalk_server.media.media_file import Media, media_file

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,mxf,ogg,gif,apng,dv,ivf,nut,"
    "wav,w64,aiff,au,caf,voc,flac,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,amr,amrnb,amrwb,tta,wv,ape,mpc,mpc8,tak,dsf"
)
_PICTURES = (
    "h264 hevc vvc av1 libdav1d vp8 vp9 libvpx libvpx-vp9 mpeg1video mpeg2video mpeg4 msmpeg4v1 msmpeg4v2 msmpeg4 "
    "h261 h263 h263i flv wmv1 wmv2 wmv3 vc1 theora mjpeg mjpegb prores dnxhd cfhd dvvideo ffv1 huffyuv ffvhuff "
    "utvideo magicyuv hap cinepak svq1 svq3 indeo3 indeo4 indeo5 qtrle rpza png apng gif rawvideo v210 jpeg2000"
)
_SOUNDS = (
    "aac aac_fixed aac_latm alac mp1 mp1float mp2 mp2float mp3 mp3float flac vorbis opus libopus speex "
    "ac3 ac3_fixed eac3 dca truehd mlp wmav1 wmav2 wmapro wmalossless wmavoice ape tta wavpack tak mpc7 mpc8 "
    "amrnb amrwb libopencore_amrnb libopencore_amrwb gsm gsm_ms qdm2 mace3 mace6 g722 g726 g729 "
    "adpcm_ima_wav adpcm_ima_qt adpcm_ms adpcm_swf dsd_lsbf dsd_msbf dsd_lsbf_planar dsd_msbf_planar"
)
_PICTURE_CODECS = frozenset(_PICTURES.split())
_SOUND_CODECS = frozenset(_SOUNDS.split()) | {name for name in av.codecs_available if name.startswith("pcm_")}
_WALLS = {
    "format_whitelist": _CONTAINERS,
    "codec_whitelist": ",".join(sorted(_PICTURE_CODECS | _SOUND_CODECS)),
    "protocol_whitelist": "",
}
_READ_BYTES = 1 << 16
"""Bytes that are read from a file at once."""


class NotMediaError(ValueError):
    """What is no file of sound or video that we open; the text says why, for people."""


@contextlib.contextmanager
def open_media(source: Media) -> Iterator[InputContainer]:
    """Open a file, or its bytes, for decoding. Raises `NotMediaError`, or `OSError` for one that cannot be read."""
    with media_file(source) as file:
        try:
            container = av.open(
                file,
                "r",
                container_options=_WALLS,
                metadata_errors="replace",
                buffer_size=_READ_BYTES,
                io_open=_refuse,
            )
        except (av.FFmpegError, ValueError) as error:
            raise NotMediaError(reason(error)) from error
        with container:
            yield container


def sound_stream(container: InputContainer) -> av.AudioStream | None:
    """Return the first stream of sound that we decode; None if there is none."""
    for stream in container.streams.audio:
        if stream.codec_context and stream.codec_context.name in _SOUND_CODECS:
            return stream
    return None


def picture_stream(container: InputContainer) -> av.VideoStream | None:
    """Return the first stream of moving pictures that we decode; None if there is none, or only a cover."""
    for stream in container.streams.video:
        is_cover = bool(stream.disposition & Disposition.attached_pic)
        if not is_cover and stream.codec_context and stream.codec_context.name in _PICTURE_CODECS:
            return stream
    return None


def decoded(container: InputContainer, stream: Any) -> Generator[Any, None, None]:
    """Yield the frames of a stream; damaged packets are left out, as players do.

    Raises `NotMediaError` when nothing of the stream can be decoded.
    """
    broken: av.FFmpegError | None = None
    is_empty, packets = True, container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:  # the rest of the file cannot be taken apart
            packet, broken = None, broken or error
        if packet is None:
            break
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            frames, broken = [], error
        for frame in frames:
            is_empty = False
            yield frame
    if is_empty and broken is not None:
        raise NotMediaError(reason(broken))


def start_second(container: InputContainer) -> Fraction:
    """Return the time stamp of second 0: that of the stream that begins first."""
    return Fraction(container.start_time or 0, av.time_base)


def reason(error: Exception) -> str:
    """Return what the decoder says of a file, in a few words."""
    return str(getattr(error, "strerror", "") or error).rstrip(".") or "it cannot be decoded"


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    """Answer a file that asks to open another one."""
    raise PermissionError("the file asks to open another file")
