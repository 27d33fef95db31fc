"""The quantities of each kind of vector file, computed with our networks and pre-processing."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edtalk_server.bundles.load import load_exactly
from edtalk_server.bundles.official import AUDIO, FACE, LIP_POSE, convert
from edtalk_server.bundles.official_names import audio_tensors, face_tensors
from edtalk_server.bundles.official_presets import PRESETS
from edtalk_server.evaluation.golden import rule
from edtalk_server.evaluation.golden.compare import Array, Comparison
from edtalk_server.media import image
from edtalk_server.media.audio import mel
from edtalk_server.media.faces import crop
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.config import EDTalkConfig
from edtalk_server.networks.edtalk import EDTalk
from edtalk_server.networks.fast import FastEDTalk, FastSource, decode
from edtalk_server.networks.generator import record_nothing
from edtalk_server.networks.interface import Encoding

Check = Callable[[Comparison, "GoldenSet"], None]

_MODE = re.compile(r"test_EDTalk_(?P<kind>[AV])(_use_exp_weight_(?P<preset>[a-z]+))?(?P<fixed>_fixpose)?")


class GoldenSet:
    """The networks of a set, filled by its rule, and its pictures; made on first use."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._encodings: dict[tuple[str, str, int], Encoding] = {}
        self._prepared: dict[tuple[str, str, int], list[FastSource]] = {}

    @cached_property
    def edtalk(self) -> EDTalk:
        return self._face("edtalk", FACE)

    @cached_property
    def lip_pose(self) -> EDTalk:
        return self._face("edtalk_lip_pose", LIP_POSE)

    @cached_property
    def audio2lip(self) -> Audio2Lip:
        names = audio_tensors(AUDIO)
        network = Audio2Lip(AUDIO)
        load_exactly(network, convert(rule.checkpoint(self.name, "audio2lip", names), names, "rule"), "rule")
        return network.eval()

    def _face(self, model: str, config: EDTalkConfig) -> EDTalk:
        names = face_tensors(config)
        network = EDTalk(config)
        load_exactly(network, convert(rule.checkpoint(self.name, model, names), names, "rule"), "rule")
        return network.eval()

    def images(self, kind: str, batch: int) -> Tensor:
        return torch.from_numpy(rule.images(self.name, kind, batch))

    def encoding(self, network: EDTalk, kind: str, batch: int) -> Encoding:
        """Return the encoded pictures of one kind (kept, because several files need them)."""
        key = (_model(network), kind, batch)
        if key not in self._encodings:
            self._encodings[key] = network.encode(self.images(kind, batch))
        return self._encodings[key]

    def prepared(self, network: EDTalk, kind: str, batch: int) -> list[FastSource]:
        """Return the pictures of one kind, prepared as sources of the fast path."""
        key = (_model(network), kind, batch)
        if key not in self._prepared:
            pictures, fast = self.images(kind, batch), FastEDTalk(network)
            self._prepared[key] = [fast.prepare(pictures[i : i + 1]) for i in range(batch)]
        return self._prepared[key]

    def mouth_of_windows(self, batch: int) -> Tensor:
        """Return mouth weights [batch, 20] of the set's first mel windows: the mouth input of all audio paths."""
        windows = torch.from_numpy(rule.mel_windows(self.name, batch))
        mouth: Tensor = self.audio2lip(windows[:, None])
        return mouth


def _model(network: EDTalk) -> str:
    return "edtalk" if network.config.expression else "edtalk_lip_pose"


def check_for(stored: dict[str, Array]) -> Check | None:
    """Return the check that fits the content of a file."""
    if "Q36" in stored:
        return check_edtalk
    if any(name.startswith("test_EDTalk_A") for name in stored):
        return check_modes
    if "Q26" in stored:
        return check_lip_pose
    if "wave" in stored or "formula_windows" in stored:
        return check_audio
    if "photo_u8" in stored or "crop_landmarks" in stored:
        return check_preprocessing
    return None


def check_edtalk(comparison: Comparison, golden: GoldenSet) -> None:
    """Check the video path of the full network with all intermediate values, by the equations and by the fast path."""
    network, batch = golden.edtalk, _batch(comparison)
    bank = _offer_banks(comparison, network)
    weights = _offer_motion(comparison, golden, network, batch)
    _offer_latents(comparison, bank, weights, golden.encoding(network, "source", batch).latent)
    source = golden.encoding(network, "source", batch)
    for size, feature in source.features.items():
        comparison.offer(f"feat_{size}", feature)
    comparison.offer("image", network.generate(source, weights, comparison.offer))
    _offer_without_enhancement(comparison, network, source, weights)
    comparison.offer("image", _frames(golden, network, "source", weights))


def check_modes(comparison: Comparison, golden: GoldenSet) -> None:
    """Check the audio and preset paths of the full network, by the fast path."""
    network, batch = golden.edtalk, _batch(comparison)
    mouth = golden.mouth_of_windows(batch)
    comparison.offer("alpha_lip_in", mouth)
    own = {kind: network.heads(golden.encoding(network, kind, batch).latent) for kind in _KINDS}
    bank = network.banks.orthonormal()
    for name in _names(comparison):
        if (mode := _MODE.fullmatch(name)) is None:
            continue
        pose = own["source" if mode["fixed"] else "pose"][:, 20:26]
        lips = mouth if mode["kind"] == "A" else own["lip"][:, :20]
        preset = mode["preset"]
        if preset is not None and preset not in PRESETS:
            continue
        expression = own["exp"][:, 26:] if preset is None else _preset(preset, batch)
        weights = torch.cat([lips, pose, expression], dim=1)
        if preset is not None and mode["kind"] == "A" and not mode["fixed"]:
            source = golden.encoding(network, "source", batch).latent
            comparison.offer(f"latent_{preset}", source + weights @ bank.T)
            comparison.offer(f"latent_exp_{preset}", expression @ bank[:, 26:].T)
        comparison.offer(name, _frames(golden, network, "source", weights))


def check_lip_pose(comparison: Comparison, golden: GoldenSet) -> None:
    """Check all paths of the network without expression bank."""
    comparison.lip_pose = True
    network, batch = golden.lip_pose, _batch(comparison)
    bank = _offer_banks(comparison, network)
    weights = _offer_motion(comparison, golden, network, batch)
    source = golden.encoding(network, "source", batch)
    _offer_latents(comparison, bank, weights, source.latent)
    comparison.offer("test_EDTalk_V", network.generate(source, weights, comparison.offer))
    mouth = golden.mouth_of_windows(batch)
    comparison.offer("alpha_lip_in", mouth)
    own = {k: network.heads(golden.encoding(network, k, batch).latent) for k in ("source", "lip", "pose")}
    paths = {
        "test_EDTalk_V": ("source", weights),
        "forward_source_lip": ("source", own["lip"]),
        "test_from_audio_pose_image": ("source", torch.cat([mouth, own["pose"][:, 20:]], dim=1)),
        "test_from_audio_pose_image_fixpose": ("source", torch.cat([mouth, own["source"][:, 20:]], dim=1)),
        "change_video_lip": ("pose", torch.cat([mouth, own["pose"][:, 20:]], dim=1)),
    }
    for name, (kind, driving) in paths.items():
        if comparison.wants(name):
            comparison.offer(name, _frames(golden, network, kind, driving))


def check_audio(comparison: Comparison, golden: GoldenSet) -> None:
    """Check the path of a voice: waveform, mel, windows, Audio2Lip, smoothing."""
    comparison.offer("mel_basis", mel.mel_basis())
    comparison.offer("smooth_kernel", mel.smoothing_kernel())
    if "wave" in comparison.stored:
        _offer_voice(comparison, golden)
    if "formula_windows" in comparison.stored:
        windows = rule.mel_windows(golden.name, len(comparison.stored["formula_windows"]))
        comparison.offer("formula_windows", windows)
        result = golden.audio2lip(torch.from_numpy(windows)[:, None], _flat_offer(comparison))
        if "formula_audio2lip" in comparison.stored:
            shape = comparison.stored["formula_audio2lip"].shape
            comparison.offer("formula_audio2lip", result.reshape(shape))


def check_preprocessing(comparison: Comparison, _golden: GoldenSet) -> None:
    """Check resizing of pictures and frames, the crop and its boxes."""
    stored = comparison.stored
    comparison.inputs = frozenset({"photo_u8", "clip_float", "crop_landmarks"})
    if "photo_u8" in stored:
        photo = stored["photo_u8"].astype(np.uint8)
        comparison.offer("photo_256", image.source_image(photo, rule.IMAGE_SIZE))
        for smooth in (False, True):
            frame = image.driving_frame(photo, rule.IMAGE_SIZE, smooth)
            comparison.offer(f"frame_256_antialias{int(smooth)}", frame)
    if "clip_float" in stored:
        comparison.offer("clip_official_u8", _stretched(stored["clip_float"].astype(np.float64)))
    if "crop_landmarks" in stored:
        matrix = crop.crop_matrix(stored["crop_landmarks"])
        comparison.offer("crop_matrix", matrix)
        comparison.offer("crop_output", crop.warp(rule.photo(_golden.name), matrix))
    comparison.offer("template47", crop.TEMPLATE68[: crop.FITTED_POINTS])
    _offer_boxes(comparison)


# --- parts of the checks ---

_KINDS = ("source", "lip", "pose", "exp")


def _offer_banks(comparison: Comparison, network: EDTalk) -> Tensor:
    bank = network.banks.orthonormal()
    comparison.offer(f"Q{bank.shape[1]}", bank)
    # The first bank alone: the expression columns come after it, so they do not change it.
    comparison.offer("Q26", bank[:, :26])
    return bank


def _offer_motion(comparison: Comparison, golden: GoldenSet, network: EDTalk, batch: int) -> Tensor:
    """Offer encoder latents, shared layers and weights of the driving pictures; return the weights [batch,
    channels]."""
    slices = {"lip": slice(0, 20), "pose": slice(20, 26), "exp": slice(26, 36)}
    if not network.config.expression:
        del slices["exp"]
    weights = []
    comparison.offer("h_source", golden.encoding(network, "source", batch).latent)
    for kind in ("source", *slices):
        comparison.offer(f"in_{kind}", golden.images(kind, batch))
    for kind, part in slices.items():
        latent = golden.encoding(network, kind, batch).latent
        comparison.offer(f"h_{kind}", latent)
        comparison.offer(f"fc_{kind}", network.heads.shared(latent))
        weights.append(network.heads(latent)[:, part])
        comparison.offer(f"alpha_{kind}", weights[-1])
        matrix, offset = network.heads.folded()
        comparison.offer(f"alpha_{kind}", (latent @ matrix + offset)[:, part])
    return torch.cat(weights, dim=1)


def _offer_latents(comparison: Comparison, bank: Tensor, weights: Tensor, source: Tensor) -> None:
    for kind, part in (("lip", slice(0, 20)), ("pose", slice(20, 26)), ("exp", slice(26, 36))):
        comparison.offer(f"latent_{kind}", weights[:, part] @ bank[:, part].T)
    direction = weights @ bank.T
    comparison.offer("direction", direction)
    comparison.offer("latent", source + direction)


def _offer_without_enhancement(
    comparison: Comparison, network: EDTalk, source: Encoding, weights: Tensor
) -> None:
    def record(name: str, value: Tensor) -> None:
        if name.startswith("rgb_"):
            comparison.offer(name.replace("rgb_", "rgb_noeem_"), value)

    style = source.latent + weights @ network.banks.orthonormal().T
    comparison.offer("image_noeem", network.generator(style, source.features, record=record))


def _frames(golden: GoldenSet, network: EDTalk, kind: str, weights: Tensor) -> Tensor:
    """Return one frame for each source picture of a kind and its row of weights, by the fast path."""
    sources = golden.prepared(network, kind, len(weights))
    return torch.cat([decode(source, weights[i : i + 1]) for i, source in enumerate(sources)])


def _preset(name: str, batch: int) -> Tensor:
    return torch.tensor(PRESETS[name], dtype=torch.float32).expand(batch, -1)


def _batch(comparison: Comparison) -> int:
    """Return the batch size of a file's tensors (banks and statistics have none); 1 without others."""
    tensors = (a for key, a in comparison.stored.items() if a.ndim > 1 and not key.startswith(("Q", "stat/")))
    return next((len(a) for a in tensors), 1)


def _names(comparison: Comparison) -> list[str]:
    bases = (re.sub(r"(_f64)?(_s\d+)?$", "", key.removeprefix("stat/")) for key in comparison.stored)
    return sorted(set(bases))


def _offer_voice(comparison: Comparison, golden: GoldenSet) -> None:
    stored = comparison.stored["wave"]
    comparison.offer("wave", rule.voice(golden.name, len(stored)))
    wave: npt.NDArray[np.float32] = stored.astype(np.float32)
    frames = mel.whole_frames(len(wave))
    wave = wave[: frames * mel.SAMPLES_PER_FRAME]
    comparison.offer("cropped_len", np.array([len(wave), frames]))
    comparison.offer("preemphasis_head", mel.preemphasis(wave)[1590:1700])
    spectrogram = mel.mel_spectrogram(wave)
    comparison.offer("mel_reflect", spectrogram)
    comparison.offer("mel_constant", mel.mel_spectrogram(wave, mel.Padding.ZERO))
    comparison.offer("window_index", mel.window_indices(frames, len(spectrogram)))
    windows = mel.windows(spectrogram, frames)
    comparison.offer("windows", windows)
    mouth = golden.audio2lip(torch.from_numpy(windows)[:, None], record_nothing)
    comparison.offer("audio2lip", mouth)
    comparison.offer("audio2lip_smooth", mel.smooth(mouth.numpy(), mel.Edge.ZERO))


def _flat_offer(comparison: Comparison) -> Callable[[str, Tensor], None]:
    """Return a recorder that offers the encoder's blocks; the last one is stored without its empty axes."""

    def offer(name: str, value: Tensor) -> None:
        comparison.offer(name, value.flatten(1) if value.shape[2:] == (1, 1) else value)

    return offer


def _stretched(clip: npt.NDArray[np.float64]) -> Array:
    """Return a video [3, T, H, W] as the release saves it, stretched between its extremes (ours has a fixed
    mapping)."""
    clamped = np.clip(clip, -1.0, 1.0)
    unit = (clamped - clamped.min()) / (clamped.max() - clamped.min())
    return (unit * 255.0).astype(np.uint8).transpose(1, 2, 3, 0)


def _offer_boxes(comparison: Comparison) -> None:
    if "bbox_cases" in comparison.stored:
        cases = comparison.stored["bbox_cases"].astype(np.float64)
        comparison.offer("bbox_cases", np.array([[*case[:6], *_video_case(case)] for case in cases]))
    if "crop_image_cases" in comparison.stored:
        numbers = comparison.stored["crop_image_cases"].astype(np.int64)
        boxes = [[*n[:6], *crop.picture_box(n[0], n[1], crop.Box(*n[2:6]))] for n in numbers.tolist()]
        comparison.offer("crop_image_cases", np.array(boxes))


def _video_case(case: npt.NDArray[np.float64]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (float(edge) for edge in case[2:6])
    box = crop.video_box(int(case[0]), int(case[1]), (left, top, right, bottom))
    return box.right - box.left, box.bottom - box.top, box.left, box.top
