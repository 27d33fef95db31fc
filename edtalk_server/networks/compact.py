"""The compact face network: EDTalk's structure (section 3 of the paper) at a size that two CPU cores can train and run.

    w = h_s + Q · gain · (a_drive − a_source)          Q: 36 orthonormal directions, mouth | pose | expression
    flow, mask, rgb = decoder(w, features of the source)
    picture = mask · (warp(photo, flow) + tone) + (1 − mask) · rgb

Four things differ from the published network, each because it was measured to learn faster from rendered faces:

* The weights are relative: the decoder receives the change, so a photo with wrongly estimated weights still rests.
* A network of its own estimates weights (`motion`), and another one detects landmarks for cropping (`locator`).
* Coarse motion is computed at `trunk_size`, detail at `detail_size`; flow and mask are then applied to the photo at
  full `size`, so that sharpness comes from the photo and not from the network.
* Without a change the picture is the photo itself, by construction: flow and mask fade to rest as the change vanishes.

A config with `detail` adds painters of mouth and eyes, which draw over the picture (`detail.py`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edtalk_server.networks.compact_blocks import (
    ConvNormRelu,
    ModulatedConv,
    ResidualDown,
    activate,
    closed,
    convolution,
    enlarge,
    head,
    shrink,
    softened,
    warp,
)
from edtalk_server.networks.compact_motion_encoder import LANDMARKS, MotionEncoder
from edtalk_server.networks.detail.network import DetailConfig, DetailNetwork, PreparedDetail, in_seen_size
from edtalk_server.networks.interface import Encoding, check_source
from edtalk_server.networks.upper_face.upper_face import PreparedUpperFace, UpperFace, UpperFaceConfig

FLOW_SCALE = 0.25
"""Flow, in units of half a picture, for one unit of a head's output at the coarse levels; finer levels correct less."""
FINE_FLOW_SCALE = 0.1
REST_MASK_LOGIT = 9.0
"""Logit of the mask at rest, 0.9999: less than a grey level away from the photo."""
_THIN = 2
"""Half the width, in pixels of the finest level, of the lines in which a steady mask does without the photo."""
OWN_DECIMALS = 3
"""Decimals of a portrait's own weights."""


@dataclass(frozen=True)
class CompactConfig:
    """All sizes of the network.

    `encoder_channels` and `decoder_channels` belong to map sizes 4, 8, ... `trunk_size / 2` (the decoder's begin at 8).
    `reader` is `plain` (numbers at once) or `points` (see `compact_motion_encoder`); with `tone` the decoder also
    predicts how the light on moved parts changes; `refined` deepens it. `gain` scales weights in natural units (1 =
    full movement) to the style latent; `rest_radius` is the length of a change of weights at which flow and mask are
    half awake. `detail` configures the painters of mouth and eyes; None leaves them out. With `upper_face` lids,
    irises and brows are moved by geometry (`upper_face`); None: the network draws them. With `steady` the finest flow
    and mask lose the pattern of single pixels that learning left in them, which is seen as dashes along a moved chin
    and as fog on lips.
    """

    size: int = 256
    detail_size: int = 128
    trunk_size: int = 64
    mouth: int = 20
    pose: int = 6
    expression: int = 10
    latent: int = 256
    gain: float = 3.0
    rest_radius: float = 0.04
    encoder_channels: tuple[int, ...] = (128, 128, 64, 32)
    decoder_channels: tuple[int, ...] = (128, 64, 40)
    thin_channels: int = 24
    detail_channels: int = 32
    reader: str = "plain"
    tone: bool = False
    refined: bool = False
    motion_size: int = 128
    motion_channels: tuple[int, ...] = (24, 48, 96, 128, 192)
    motion_hidden: int = 256
    locator_size: int = 64
    locator_channels: tuple[int, ...] = (24, 48, 96, 128)
    locator_hidden: int = 192
    detail: DetailConfig | None = None
    upper_face: UpperFaceConfig | None = None
    steady: bool = False

    def __post_init__(self) -> None:
        if self.detail_size != 2 * self.trunk_size or self.size % self.detail_size:
            raise ValueError("detail_size must be twice trunk_size, and size a multiple of detail_size")
        levels = (self.trunk_size // 4).bit_length() - 1
        if len(self.encoder_channels) != levels or len(self.decoder_channels) != levels - 1:
            raise ValueError(f"a trunk of {self.trunk_size} pixels has {levels} encoder levels")
        count = self.mouth + self.pose + self.expression
        if self.upper_face is not None and not set(self.upper_face.to_dict().values()) <= set(range(count)):
            raise ValueError(f"upper_face names weights that {count} do not have")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CompactConfig:
        """Build from JSON (lists become tuples). Raises `TypeError` that names an unknown field."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if fields.get("detail") is not None:
            fields["detail"] = DetailConfig.from_dict(fields["detail"])
        if fields.get("upper_face") is not None:
            fields["upper_face"] = UpperFaceConfig.from_dict(fields["upper_face"])
        return cls(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `from_dict` reads. Without parts that came later older programs
        can read it too."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}
        later = {"detail": self.detail, "upper_face": self.upper_face}
        values = {name: value for name, value in values.items() if name not in later}
        if not values["steady"]:
            del values["steady"]
        return {**values, **{name: part.to_dict() for name, part in later.items() if part is not None}}


class FlowLevel(NamedTuple):
    """The output of one level of the decoder: flow [B, 2, n, n] and mask logits [B, 1, n, n], both float32."""

    flow: Tensor
    mask_logits: Tensor

    def steadied(self) -> FlowLevel:
        """Return the level without the pattern of single pixels, and without thin lines in the mask."""
        return FlowLevel(softened(self.flow), softened(closed(self.mask_logits, _THIN)))


class Drawing(NamedTuple):
    """The output of the decoder: every level, coarse to fine; the drawn picture [B, 3, detail_size, detail_size]
    (None when only the trunk ran); the change in brightness of moved parts, [B, 3, n, n], smooth (None: not at all)."""

    levels: list[FlowLevel]
    rgb: Tensor | None
    tone: Tensor | None = None

    def with_finest(self, level: FlowLevel) -> Drawing:
        """Return the same with another finest level."""
        return self._replace(levels=[*self.levels[:-1], level])


@dataclass(frozen=True)
class Prepared:
    """Everything of one source that does not depend on the weights. `photo` is [1, 3, size, size]; `weights` are its
    own."""

    photo: Tensor
    weights: Tensor
    encoding: Encoding
    basis: Tensor
    detail: PreparedDetail | None = None
    upper_face: PreparedUpperFace | None = None


class Regressor(nn.Module):
    """A picture [B, 3, size, size] to numbers [B, outputs]: strided convolutions, then two linear layers."""

    def __init__(self, size: int, channels: tuple[int, ...], hidden: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormRelu(3, channels[0], kernel=5)]
        for inputs, width in pairwise(channels):
            layers.append(ConvNormRelu(inputs, width))
            if size // 2 ** len(layers) == 8:  # twice at 8 px: whole-face context is cheap there
                layers.append(ConvNormRelu(width, width, stride=1))
        side = size // 2 ** len(channels)
        self.maps = nn.Sequential(*layers)
        self.numbers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels[-1] * side * side, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs),
        )
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        return self.numbers(self.maps(shrink(images, self.size))).float()


def _for_sliders(weights: Tensor) -> Tensor:
    """Round a portrait's own weights, which are estimates, to what sliders show: Blender writes smaller numbers out
    ("-0.000765"). As changes count from them, a portrait at rest is the photo all the same."""
    return torch.round(weights, decimals=OWN_DECIMALS) + 0.0  # no sign before a zero


def _motion_encoder(config: CompactConfig, weights: int) -> MotionEncoder | Regressor:
    """Build the motion encoder: weights and landmarks of a well-cropped face."""
    if config.reader == "points":
        return MotionEncoder(config.motion_size, config.motion_channels, config.motion_hidden, weights)
    return Regressor(
        config.motion_size, config.motion_channels, config.motion_hidden, weights + 2 * LANDMARKS
    )


class Encoder(nn.Module):
    """Source picture at trunk size -> latent and features at trunk/2 ... 4 (paper section 3.1)."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        channels = config.encoder_channels[::-1]
        self.stem = convolution(3, channels[0], kernel=5, stride=2)
        self.downs = nn.ModuleList(ResidualDown(a, b) for a, b in pairwise(channels))
        self.latent = nn.Sequential(
            nn.Linear(channels[-1] * 16, config.latent),
            nn.LeakyReLU(0.2),
            nn.Linear(config.latent, config.latent),
        )

    def forward(self, images: Tensor) -> Encoding:
        x = activate(self.stem(images))
        features = {x.shape[-1]: x}
        for down in self.downs:
            x = down(x)
            features[x.shape[-1]] = x
        return Encoding(self.latent(x.flatten(1)), features)


class TrunkLevel(nn.Module):
    """One level of coarse motion: enlarge, sample the source's features through the flow so far, correct the flow."""

    def __init__(self, inputs: int, features: int, outputs: int, latent: int, refined: bool) -> None:
        super().__init__()
        self.rise = ModulatedConv(inputs, outputs, latent)
        self.blend = ModulatedConv(outputs + features, outputs, latent)
        self.refine = Refinement(outputs, latent) if refined else None
        self.to_flow = head(outputs, 3)

    def forward(self, x: Tensor, flow: Tensor, feature: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return the new `x` and the output of the head, [B, 3, n, n] float32. `x` has half the size, `flow` this
        size."""
        x = enlarge(activate(self.rise(x, latent)))
        x = activate(self.blend(torch.cat([x, warp(feature, flow)], 1), latent))
        if self.refine is not None:
            x = self.refine(x, latent)
        return x, self.to_flow(x).float()


class Refinement(nn.Module):
    """A residual of two convolutions that starts at zero, so that it can join a network that was trained without it."""

    def __init__(self, channels: int, latent: int) -> None:
        super().__init__()
        self.look = ModulatedConv(channels, channels, latent)
        self.add = convolution(channels, channels)
        nn.init.zeros_(self.add.weight)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        return x + self.add(activate(self.look(x, latent)))


class Decoder(nn.Module):
    """Features of the source and a style latent -> flow, mask and a drawn picture (paper section 3.1, made thin)."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        encoder, decoder, latent = config.encoder_channels, config.decoder_channels, config.latent
        inputs = (encoder[0], *decoder)
        self.trunk = nn.ModuleList(
            TrunkLevel(inputs[i], encoder[i + 1], decoder[i], latent, config.refined)
            for i in range(len(decoder))
        )
        thin = config.thin_channels
        self.stem = convolution(12, thin)  # twelve: the four phases of a picture of twice the size
        self.thin = TrunkLevel(decoder[-1], thin, thin, latent, config.refined)
        self.draw = convolution(thin + 12, config.detail_channels)
        self.refine = Refinement(config.detail_channels, latent) if config.refined else None
        self.to_picture = head(config.detail_channels, 24)
        self.to_tone = head(decoder[-1], 3) if config.tone else None
        if self.to_tone is not None:
            nn.init.zeros_(self.to_tone.weight)

    def forward(self, encoding: Encoding, latent: Tensor, awake: Tensor, trunk_only: bool = False) -> Drawing:
        """Decode style latents [B, latent] with the encoding of 1 or B sources; `awake` [B, 1, 1, 1] in 0..1 scales all
        motion."""
        x = encoding.features[4].expand(latent.shape[0], -1, -1, -1)
        flow = x.new_zeros((latent.shape[0], 2, 8, 8), dtype=torch.float32)
        logits = flow[:, :1]
        levels: list[FlowLevel] = []
        stages = [*self.trunk] if trunk_only else [*self.trunk, self.thin]
        tone = None
        for stage in stages:
            if levels:
                flow, logits = enlarge(flow), enlarge(logits)
            size = flow.shape[-1]
            x, output = stage(x, flow, encoding.features[size], latent)
            flow = flow + awake * output[:, :2] * (FINE_FLOW_SCALE if stage is self.thin else FLOW_SCALE)
            logits = logits + output[:, 2:]
            levels.append(FlowLevel(flow, _resting(logits, awake)))
            if stage is self.trunk[-1] and self.to_tone is not None:
                tone = awake * self.to_tone(x).float()
        if trunk_only:
            return Drawing(levels, None)
        phases = warp(encoding.features[-1], flow)
        drawn = activate(self.draw(torch.cat([x, phases], 1)))
        if self.refine is not None:
            drawn = self.refine(drawn, latent)
        output = F.pixel_shuffle(self.to_picture(drawn), 2).float()
        fine = enlarge(flow) + awake * output[:, :2] * FINE_FLOW_SCALE
        levels.append(FlowLevel(fine, _resting(enlarge(logits) + output[:, 2:3], awake)))
        return Drawing(levels, output[:, 3:], tone)


def _resting(logits: Tensor, awake: Tensor) -> Tensor:
    return REST_MASK_LOGIT + awake * (logits - REST_MASK_LOGIT)


def _enlarged(maps: Tensor, size: int) -> Tensor:
    """Return maps [B, C, m, m] in a `size` that is a multiple of m."""
    factor = size // maps.shape[-1]
    return enlarge(maps, factor) if factor > 1 else maps


class CompactNetwork(nn.Module):
    """A `FaceNetwork` (see `interface.py`). Weights are in natural units: 0 neutral, 1 the full movement."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.size = config.size
        self.bank_sizes = (config.mouth, config.pose, config.expression)
        self.channels = sum(self.bank_sizes)
        self.encoder = Encoder(config)
        self.to_rest = nn.Linear(config.latent, config.latent)
        self.banks = nn.Parameter(torch.randn(config.latent, self.channels))
        self.decoder = Decoder(config)
        self.motion = _motion_encoder(config, self.channels)
        self.locator = Regressor(
            config.locator_size, config.locator_channels, config.locator_hidden, 2 * LANDMARKS
        )
        self.detail = DetailNetwork(config.detail) if config.detail is not None else None
        self.upper_face = UpperFace(config.upper_face) if config.upper_face is not None else None

    @classmethod
    def from_config(cls, values: dict[str, Any]) -> CompactNetwork:
        """Return the network that a bundle's `config` describes, with untrained tensors."""
        return cls(CompactConfig.from_dict(values))

    # --- estimating faces ---

    def weights_of(self, images: Tensor) -> Tensor:
        """Return the weights [B, channels] of well-cropped faces [B, 3, n, n], n a multiple of `motion_size`."""
        return self.motion(images)[:, : self.channels]

    def landmarks_of(self, images: Tensor) -> Tensor:
        """Return 68 landmarks (Multi-PIE order) [B, 68, 2], x and y in 0..1, of roughly cropped faces [B, 3, n, n].

        Made for finding a crop: it takes faces 0.6 to 1.6 times the crop's size, off centre by a fifth of the picture
        and rolled by 20 degrees; ask again on the better crop for a finer answer.
        """
        return self.locator(images).reshape(-1, LANDMARKS, 2) + 0.5

    def cropped_landmarks_of(self, images: Tensor) -> Tensor:
        """Return finer landmarks as `landmarks_of`, for well-cropped faces only [B, 3, n, n], n a multiple of
        `motion_size`."""
        return self.motion(images)[:, self.channels :].reshape(-1, LANDMARKS, 2) + 0.5

    # --- drawing faces ---

    def basis(self) -> Tensor:
        """Return Q [latent, channels], the banks made orthonormal together (paper Eq. 2), in float32 under any
        autocast."""
        with torch.autocast(self.banks.device.type, enabled=False):
            return torch.linalg.qr(self.banks.float())[0]

    def encode(self, images: Tensor) -> Encoding:
        """Return the latent [B, latent] and features by size; key -1 holds the detail picture as twelve phases."""
        encoding = self.encoder(shrink(images, self.config.trunk_size))
        phases = F.pixel_unshuffle(shrink(images, self.config.detail_size), 2)
        stem = activate(self.decoder.stem(phases))
        features = {**encoding.features, self.config.trunk_size: stem, -1: phases}
        return Encoding(self.to_rest(encoding.latent), features)

    def encode_trunk(self, images: Tensor) -> Encoding:
        """Encode pictures of trunk size without the detail features, for the first training stage."""
        encoding = self.encoder(images)
        return Encoding(self.to_rest(encoding.latent), encoding.features)

    def draw(self, encoding: Encoding, basis: Tensor, change: Tensor, trunk_only: bool = False) -> Drawing:
        """Return flow, masks and picture for a change of weights, `change` = drive - source, [B, channels]."""
        with torch.autocast(change.device.type, enabled=False):
            latent = encoding.latent.float() + self.config.gain * change.float() @ basis.t()
            power = change.float().square().sum(1)
            awake = (power / (power + self.config.rest_radius**2))[:, None, None, None]
        return self.decoder(encoding, latent, awake, trunk_only)

    @classmethod
    def compose(cls, photo: Tensor, drawing: Drawing) -> Tensor:
        """Return `mask · (warp(photo) + tone) + (1 − mask) · rgb` at the photo's size, [B, 3, n, n] float32."""
        return cls._masked(cls._moved(photo, drawing), drawing)

    @staticmethod
    def _moved(photo: Tensor, drawing: Drawing) -> Tensor:
        """Return `warp(photo) + tone` at the photo's size."""
        moved = warp(photo, _enlarged(drawing.levels[-1].flow, photo.shape[-1])).float()
        return moved if drawing.tone is None else moved + _enlarged(drawing.tone, photo.shape[-1])

    @staticmethod
    def _masked(moved: Tensor, drawing: Drawing) -> Tensor:
        """Return the moved photo where the mask says so, and else the drawn picture."""
        if drawing.rgb is None:
            raise ValueError("a drawing of the trunk alone has no picture")
        size = moved.shape[-1]
        mask = torch.sigmoid(_enlarged(drawing.levels[-1].mask_logits, size))
        return mask * moved + (1 - mask) * _enlarged(drawing.rgb, size)

    def prepare(self, images: Tensor, weights: Tensor | None = None) -> Prepared:
        """Compute everything that depends on one source [1, 3, size, size] alone. `weights` [1, channels] replace its
        own, rounded to `OWN_DECIMALS`, where the truth is known."""
        check_source(images, self.size)
        own = _for_sliders(self.weights_of(images)) if weights is None else weights.float()
        detail = upper_face = None
        if self.detail is not None or self.upper_face is not None:
            landmarks = self.cropped_landmarks_of(images)
            detail = self.detail.prepare(images, landmarks, own) if self.detail is not None else None
            upper_face = (
                self.upper_face.prepare(images, landmarks, own) if self.upper_face is not None else None
            )
        return Prepared(images, own, self.encode(images), self.basis(), detail, upper_face)

    def with_photo(self, prepared: Prepared, photo: Tensor) -> Prepared:
        """Return a prepared source whose frames are as large as `photo` [1, 3, n, n], the same picture in a multiple n
        of `size`."""
        detail = prepared.detail
        if self.detail is not None and detail is not None:
            detail = self.detail.with_photo(detail, photo)
        upper_face = prepared.upper_face
        if self.upper_face is not None and upper_face is not None:
            upper_face = self.upper_face.with_photo(upper_face, photo)
        return replace(prepared, photo=photo, detail=detail, upper_face=upper_face)

    def sketch(self, prepared: Prepared) -> Prepared:
        """Return a prepared source whose frames have `detail_size` and no painters' details: quick, for comparing."""
        return self.with_photo(
            replace(prepared, detail=None), shrink(prepared.photo, self.config.detail_size)
        )

    def decode(self, prepared: Prepared, weights: Tensor) -> Tensor:
        """Return frames [B, 3, n, n] of one source under B rows of weights, as large as its photo."""
        return self.decode_known(prepared, weights)[0]

    def decode_known(self, prepared: Prepared, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return frames as `decode` does, and how much of each of their pixels the photo knows, [B, 1, m, m] in 0..1;
        the rest was invented."""
        change = weights - prepared.weights
        photo, drawing = self._drawn(prepared, change)
        shown = drawing.with_finest(drawing.levels[-1].steadied()) if self.config.steady else drawing
        moved, (flow, logits) = self._moved(photo, shown), shown.levels[-1]
        frames = self._masked(moved, shown)
        if self.detail is not None and prepared.detail is not None:
            # thin lines in the mask are fog on lips, but they are how the painter tells lips that hardly part
            seen = self._masked(in_seen_size(moved), drawing) if self.config.steady else None
            frames = self.detail.refine(frames, flow, prepared.detail, change, seen)
        return frames, torch.sigmoid(logits)

    def _drawn(self, prepared: Prepared, change: Tensor) -> tuple[Tensor, Drawing]:
        """Return the photo with its upper face moved, and what is drawn of everything else."""
        moves, upper_face = self.upper_face, prepared.upper_face
        if moves is None or upper_face is None:
            return prepared.photo, self.draw(prepared.encoding, prepared.basis, change)
        left = moves.left_to_network(upper_face, change)
        drawing = self.draw(prepared.encoding, prepared.basis, left)
        flow, logits = drawing.levels[-1]
        held = moves.held(upper_face, change, flow)
        logits = logits + held * (REST_MASK_LOGIT - logits).clamp_min(0)
        return moves.move(prepared.photo, upper_face, change), drawing.with_finest(FlowLevel(flow, logits))
