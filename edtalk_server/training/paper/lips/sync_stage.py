"""Stage `sync`: the expert learns which sound belongs to which lips (paper section 3.3; Chung and Zisserman 2016)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edtalk_server import bundles
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.sync import FRAMES, MIDDLE, SyncExpert, half_faces, runs_of
from edtalk_server.training.datasets.interface import ClipSet, Random, SpokenBatch
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.lips.speech import draw_spoken
from edtalk_server.training.paper.stage import Stage
from edtalk_server.training.speech.augment import disturb
from shared_protocol.errors import EDTalkError, ErrorCode

NEAREST, FARTHEST = 2, 15
"""Frames by which the sound of a negative is too early or too late."""
_CLIP = 20
"""Frames of a clip, which hold 16 runs of five: neighbours cost little, as each frame and sound is looked at once."""
_ALIKE = 0.25
"""Mel windows that differ by less (mean, in -4..4) sound alike, as two moments of silence do: no negatives."""
_TEMPERATURE = 0.07
"""Cosines that differ by so much differ by a factor e in the contrast's chances."""
_SURE = 1e-6
"""Distance of a probability from 0 and 1."""


class SyncStage(Stage[SpokenBatch]):
    """Binary cross-entropy on the cosine of lips and sound: 1 for the true sound, 0 for those of 2 to 15 frames earlier
    or later, and for those of the batch's other clips. Both kinds of negatives count alike, and together as much as the
    positives. A contrast of the same pairs is added, which is not in the paper: without it the start takes very long.
    """

    name = StageName.SYNC
    model: SyncExpert

    def __init__(self, config: StageConfig) -> None:
        super().__init__(config)
        self.model = SyncExpert(config.sync)
        if config.ear:
            self._borrow_ear(config.ear)

    def _borrow_ear(self, name: str) -> None:
        """Hear with a bundle's audio encoder, which knows many voices, and keep it."""
        audio = bundles.load(name).audio_to_lip
        if not isinstance(audio, Audio2Lip) or audio.config.widths != self.config.sync.sound_widths:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"The bundle {name} has no audio encoder with the widths {self.config.sync.sound_widths}.",
                "Set `sound_widths` of `sync` to those of its `audio_to_lip`, or leave `ear` empty.",
            )
        self.model.hearing.load_state_dict(audio.encoder.state_dict())
        self.model.hearing.requires_grad_(requires_grad=False).eval()

    @staticmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> SpokenBatch:
        return draw_spoken(data, rng, config.batch, _CLIP, FARTHEST)

    def forward(self, batch: SpokenBatch, adversarial: bool) -> Outcome:
        halves = half_faces(batch.frames, batch.landmarks.mean(dim=1), _box_jitter(batch.frames))
        lips, voice = runs_of(film_like(halves)), disturb(batch.voice)
        seen, heard = self._embed(lips, voice)
        pairs = _Pairs(voice, batch.reach)
        within = torch.einsum("bnd,bmd->bnm", seen, heard)
        across = torch.einsum("bnd,cd->bnc", seen, heard[:, pairs.middle])
        values = {
            "positive": _entropy(within[pairs.true], 1.0).mean(),
            "shifted": _mean_of(_entropy(within, 0.0), pairs.shifted),
            "other": _mean_of(_entropy(across, 0.0), pairs.other),
        }
        total = values["positive"] + 0.5 * (values["shifted"] + values["other"])
        values["contrast"] = _contrast(within, across, pairs)
        total = total + values["contrast"]
        return Outcome(
            total, {n: value.detach() for n, value in values.items()}, samples=lips[:, :, 0].numel()
        )

    def _embed(self, lips: Tensor, voice: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings of lips [B, N, 15, 48, 96] and of sound [B, M, 80, 16]."""
        with torch.autocast(lips.device.type, torch.bfloat16, enabled=self.config.bf16):
            seen = self.model.embed_lips(lips.flatten(0, 1))
            heard = self.model.embed_sound(voice.flatten(0, 1)[:, None])
        return seen.unflatten(0, lips.shape[:2]), heard.unflatten(0, voice.shape[:2])


class _Pairs:
    """Which of a batch's pairs of lips n and sound m are true and which are not. `voice` [B, M, 80, 16] begins `reach`
    frames before the pictures."""

    def __init__(self, voice: Tensor, reach: int) -> None:
        runs = voice.shape[1] - 2 * reach - FRAMES + 1
        lips = torch.arange(runs, device=voice.device)
        own = lips + reach + MIDDLE
        shift = (torch.arange(voice.shape[1], device=voice.device) - own[:, None]).abs()
        differs = _distance(voice[:, own][:, :, None], voice[:, None]) > _ALIKE
        self.true = (shift == 0).expand(len(voice), -1, -1)
        self.shifted = (shift >= NEAREST) & (shift <= FARTHEST) & differs
        self.middle = voice.shape[1] // 2
        elsewhere = ~torch.eye(len(voice), dtype=torch.bool, device=voice.device)[:, None]
        sounds = voice[:, self.middle]
        self.other = elsewhere & (_distance(voice[:, own][:, :, None], sounds) > _ALIKE)


def _contrast(within: Tensor, across: Tensor, pairs: _Pairs) -> Tensor:
    """Return the cross-entropy of choosing the true sound among all of the batch's that differ from it (InfoNCE).

    At first all cosines are alike, and the binary cross-entropy alone leaves them at one half for thousands of steps;
    this one only asks which is larger, and falls at once.
    """
    own = within.masked_fill(~(pairs.true | pairs.shifted), -torch.inf)
    others = across.masked_fill(~pairs.other, -torch.inf)
    chances = torch.cat([own, others], dim=2).div(_TEMPERATURE).log_softmax(dim=2)
    return -chances[..., : within.shape[2]][pairs.true].mean()


def _distance(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs().mean(dim=(-1, -2))


def _entropy(cosine: Tensor, target: float) -> Tensor:
    sure = cosine.clamp(_SURE, 1 - _SURE)
    return F.binary_cross_entropy(sure, torch.full_like(sure, target), reduction="none")


def _mean_of(losses: Tensor, chosen: Tensor) -> Tensor:
    return (losses * chosen).sum() / chosen.sum().clamp(min=1)


# --- what makes renders look like films ---


def _box_jitter(frames: Tensor) -> Tensor:
    """Draw how the boxes of landmark detectors differ: 4 % of the width to the sides, 6 % in size; [B, 3]."""
    return torch.randn(len(frames), 3, device=frames.device) * torch.tensor(
        [0.04, 0.04, 0.06], device=frames.device
    )


def film_like(halves: Tensor) -> Tensor:
    """Change half-faces [B, T, 3, 48, 96] as cameras do: mirrored, in other light and colours, coarser, with noise.

    All frames of a clip change alike.
    """
    count, length = halves.shape[:2]

    def drawn(low: float, high: float, colours: int = 1) -> Tensor:
        return torch.rand(count, 1, colours, 1, 1, device=halves.device) * (high - low) + low

    halves = torch.where(drawn(0, 1) < 0.5, halves.flip(-1), halves)
    coarse = F.avg_pool2d(halves.flatten(0, 1), 2)
    coarse = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
    halves = torch.lerp(halves, coarse.unflatten(0, (count, length)), drawn(-0.5, 1).clamp(min=0))
    halves = torch.lerp(halves, halves.mean(dim=2, keepdim=True), drawn(-0.6, 1).clamp(min=-0.3))
    noise = torch.randn(count, 1, *halves.shape[2:], device=halves.device) * drawn(-0.03, 0.08).clamp(min=0)
    light = drawn(0.5, 1.4) * drawn(0.85, 1.15, colours=3)
    return torch.addcmul(noise + drawn(-0.35, 0.35), halves, light)
