"""Stage `lips`: the audio encoder and its map learn the mouth weights of a voice (paper section 3.3, Audio2Lip)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from edtalk_server.bundles import Bundle
from edtalk_server.networks.audio2lip import Audio2Lip
from edtalk_server.networks.interface import FaceNetwork
from edtalk_server.networks.sync import FRAMES, MIDDLE, SyncExpert, lip_windows
from edtalk_server.training.datasets.interface import ClipSet, Random, SpokenBatch
from edtalk_server.training.loop.trainer import Outcome
from edtalk_server.training.paper.config import StageConfig, StageName
from edtalk_server.training.paper.lips.losses import LipFeature, LipVelocity, Synchrony
from edtalk_server.training.paper.lips.speech import draw_spoken
from edtalk_server.training.paper.losses import Reconstruction
from edtalk_server.training.paper.stage import LossSum, Stage
from shared_protocol.errors import EDTalkError, ErrorCode

_NEEDS_PICTURES = ("reconstruction", "sync")


class Frozen(NamedTuple):
    """What teaches the audio encoder and stays as it is. `expert` may be missing where L_sync is off."""

    face: FaceNetwork
    expert: SyncExpert | None


def goes_on_from_a_bundle(config: StageConfig) -> bool:
    """Return whether `start` names a bundle, not a checkpoint."""
    return bool(config.start) and not Path(config.start).is_file()


class LipStage(Stage[SpokenBatch]):
    """L_fea, L_rec and L_sync (each with the paper's factor 1) on five consecutive frames, and by choice a velocity.

    The reader of the frozen face says which mouth weights the true frames show. The frames are drawn from the source
    with the predicted mouth, and pose and expression as they were read; the expression is the mean of the five frames,
    as in the expression stage.
    """

    name = StageName.LIPS
    model: Audio2Lip

    def __init__(self, config: StageConfig, frozen: Frozen) -> None:
        super().__init__(config)
        self.model = Audio2Lip(config.audio)
        self._frozen = [
            frozen
        ]  # in a list, so that it is no submodule: checkpoints hold the audio encoder alone
        for network in (frozen.face, frozen.expert):
            if isinstance(network, nn.Module):
                network.eval().requires_grad_(requires_grad=False)
        self._reconstruction, self._synchrony = Reconstruction(), Synchrony()
        self._feature, self._velocity = LipFeature(), LipVelocity()
        self.train()

    def speak_like(self, bundle: Bundle) -> None:
        """Begin with a bundle's audio part: film is scarce, and it knows many voices. `EDTalkError(UNSUPPORTED)` where
        it has none like the config's."""
        spoken = bundle.audio_to_lip
        if not isinstance(spoken, Audio2Lip) or spoken.config != self.config.audio:
            raise EDTalkError(
                ErrorCode.UNSUPPORTED,
                f"The bundle {bundle.manifest.name} has no audio part like the config's {self.config.audio}.",
                "Set `audio` to that of its `audio_to_lip`, or leave `start` empty.",
            )
        self.model.load_state_dict(spoken.state_dict())

    def train(self, mode: bool = True) -> LipStage:
        """Switch to training. An encoder that knows many voices keeps its batch norms' statistics: five neighbouring
        frames of a few clips have few sounds."""
        super().train(mode)
        if goes_on_from_a_bundle(self.config):
            self.model.eval()
        return self

    @staticmethod
    def batch(config: StageConfig, data: ClipSet, rng: Random) -> SpokenBatch:
        return draw_spoken(data, rng, config.batch, FRAMES)

    def forward(self, batch: SpokenBatch, adversarial: bool) -> Outcome:
        face, expert = self._on(batch.frames.device)
        with torch.no_grad():
            read = face.weights_of(batch.frames.flatten(0, 1)).unflatten(0, batch.frames.shape[:2])
        voice = batch.voice[:, batch.reach : batch.reach + FRAMES]
        with torch.autocast(voice.device.type, torch.bfloat16, enabled=self.config.bf16):
            mouth = self.model(voice.flatten(0, 1)[:, None])
        predicted = mouth.float().unflatten(0, read.shape[:2])
        truth = read[..., : face.bank_sizes[0]]
        losses = LossSum(self.config.weights, read.device)
        losses.add("lip_feature", lambda: self._feature(predicted, truth))
        losses.add("lip_velocity", lambda: self._velocity(predicted, truth))
        drawn = self._draw(face, batch.source, predicted, read) if self._draws else None
        if drawn is not None:
            losses.add("reconstruction", lambda: self._reconstruction(drawn, batch.frames))
        if drawn is not None and expert is not None:
            losses.add("sync", lambda: self._synchrony(_cosine(expert, drawn, batch)))
        return Outcome(
            losses.total,
            losses.values,
            source=batch.source,
            drawn=None if drawn is None else drawn[:, MIDDLE],
            true=batch.frames[:, MIDDLE],
            samples=len(batch.source),
        )

    @property
    def _draws(self) -> bool:
        return any(getattr(self.config.weights, name) for name in _NEEDS_PICTURES)

    def _on(self, device: torch.device) -> Frozen:
        for network in self._frozen[0]:
            if isinstance(network, nn.Module):
                network.to(device)
        return self._frozen[0]

    @staticmethod
    def _draw(face: FaceNetwork, sources: Tensor, mouth: Tensor, read: Tensor) -> Tensor:
        """Return the frames [B, T, 3, S, S] of each source with mouth weights [B, T, mouth] and the rest as read."""
        first, pose = face.bank_sizes[0], face.bank_sizes[0] + face.bank_sizes[1]
        expression = read[..., pose:].mean(dim=1, keepdim=True).expand(-1, read.shape[1], -1)
        rows = torch.cat([mouth, read[..., first:pose], expression], dim=-1)
        return torch.stack(
            [face.decode(face.prepare(sources[i : i + 1]), rows[i]) for i in range(len(sources))]
        )


def _cosine(expert: SyncExpert, drawn: Tensor, batch: SpokenBatch) -> Tensor:
    lips = lip_windows(drawn, batch.landmarks)[:, 0]
    return expert(lips, batch.voice[:, batch.reach + MIDDLE][:, None])  # type: ignore[no-any-return]
