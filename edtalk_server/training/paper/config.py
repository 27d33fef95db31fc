"""The config of a stage: a frozen dataclass, written and read as JSON or TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from edtalk_server.networks.config import Audio2LipConfig, EDTalkConfig, SyncConfig
from shared_protocol.errors import EDTalkError, ErrorCode

T = TypeVar("T")


class StageName(StrEnum):
    """The stages in their order; `features` trains the network of our own perceptual loss, `sync` the expert that
    judges the lips."""

    FEATURES = "features"
    RECONSTRUCTION = "reconstruction"
    MOUTH_POSE = "mouth_pose"
    EXPRESSION = "expression"
    SYNC = "sync"
    LIPS = "lips"


class AdversarialKind(StrEnum):
    """Forms of the adversarial loss."""

    NON_SATURATING = "non_saturating"
    HINGE = "hinge"


@dataclass(frozen=True)
class Ablation:
    """Parts that the paper's ablation tables remove; all true is the paper's model."""

    bank: bool = True
    """False: the heads output style latents directly ("w/o Bank")."""
    orthogonal: bool = True
    """False: directions of length one, as they are learned, without QR."""
    enhancement: bool = True
    """False: the expression acts through the style latent alone ("w/o EEM")."""


@dataclass(frozen=True)
class LossWeights:
    """Factor of each loss; 0 switches it off and saves its computation."""

    reconstruction: float = 1.0
    perceptual: float = 10.0
    adversarial: float = 1.0
    feature: float = 1.0
    self_reconstruction: float = 1.0
    motion: float = 10.0
    """L_mot; 10 in the paper."""
    mouth_consistency: float = 1.0
    flow: float = 5.0
    mask: float = 0.2
    probe: float = 1.0
    lip_feature: float = 1.0
    lip_velocity: float = 0.0
    sync: float = 1.0


@dataclass(frozen=True)
class Optimization:
    """Adam as the release has it: StyleGAN2's rates and second moments with its lazy regularisation's ratios."""

    generator_rate: float = 0.002 * 4 / 5
    critic_rate: float = 0.002 * 16 / 17
    generator_memory: float = 0.99 ** (4 / 5)
    """Adam's beta 2; beta 1 is 0."""
    critic_memory: float = 0.99 ** (16 / 17)
    warm_up: int = 1
    """Steps over which the rates rise."""
    final_rate: float = 1.0
    """Share of the rates at the end of half a cosine; 1 keeps them constant."""
    clip: float = 0.0
    """Largest norm of a gradient; 0 leaves gradients as they are."""
    average: float = 0.999
    """Decay of the averaged network: how much of it stays at each step."""


@dataclass(frozen=True)
class Judging:
    """The networks of the perceptual and motion losses. See `perceptual.open_perceptual_network`."""

    vgg: str = ""
    """File of VGG-19 weights (torchvision's names; safetensors or a torch state dict)."""
    features: str = ""
    """Checkpoint of the stage `features`, also for L_mot. Empty: the one in the same folder, if it is there."""
    scales: int = 4
    """Picture sizes compared, each half of the one before."""


@dataclass(frozen=True)
class Critic:
    """The discriminator: patches at several picture sizes."""

    kind: AdversarialKind = AdversarialKind.NON_SATURATING
    width: int = 64
    depth: int = 4
    scales: int = 2
    first_step: int = 0
    """The adversarial loss joins at this step."""


@dataclass(frozen=True)
class StageConfig:
    """One stage of one run."""

    network: EDTalkConfig = field(default_factory=EDTalkConfig)
    audio: Audio2LipConfig = field(default_factory=Audio2LipConfig)
    """The audio encoder of the stage `lips`; `outputs` is the size of the face's mouth bank."""
    sync: SyncConfig = field(default_factory=SyncConfig)
    """The expert of the stage `sync`."""
    data: tuple[Mapping[str, Any], ...] = ()
    """Sets by `datasets.opening`, for example `{"kind": "cached", "folder": "..."}`."""
    ablation: Ablation = field(default_factory=Ablation)
    weights: LossWeights = field(default_factory=LossWeights)
    optimization: Optimization = field(default_factory=Optimization)
    judging: Judging = field(default_factory=Judging)
    critic: Critic = field(default_factory=Critic)
    start: str = ""
    """A checkpoint to start from; for the stage `lips` also a bundle whose audio encoder it goes on from. Empty: the
    stage before this one in the same folder, if it is there."""
    face: str = ""
    """Whose lips the stage `lips` teaches: a bundle's name or folder. Empty: the latest face in the same folder."""
    expert: str = ""
    """Who judges them: a checkpoint of the stage `sync`, or a bundle that has an expert. Empty: the one in the same
    folder."""
    ear: str = ""
    """A bundle with whose audio encoder the stage `sync` hears; it stays frozen, and the lips learn to fit it. Empty:
    the expert learns to hear by itself."""
    fresh_banks: bool = True
    """Whether `mouth_pose` initialises banks and heads again, as the release does when it starts from LIA."""
    freeze_backbone: bool = False
    """Whether `mouth_pose` leaves encoder and generator as the stage before it ended, and trains heads and banks alone
    (the paper's supplement); the release trains all of it."""
    steps: int = 300_000
    batch: int = 4
    """Clips (or swaps) of one batch of one process; even for `mouth_pose`, which pairs them."""
    accumulate: int = 1
    """Batches of a step. N processes with 1 do what one process does with N."""
    window: int = 5
    """K of the expression stage: consecutive frames that share one averaged expression. (`sync` and `lips` take the
    expert's five.)"""
    swap_share: float = 0.5
    """Share of batches that are exact factor swaps, where the data can draw them."""
    cross_share: float = 0.5
    """Share of those in which drivers are other people than the source."""
    workers: int = 0
    """Processes that prepare batches ahead; 0 prepares them between steps."""
    bf16: bool = False
    """Convolutions in bfloat16; flow, sampling positions and losses stay in float32."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 1000
    tensorboard: bool = True


def path_of(folder: Path, name: StageName) -> Path:
    """Return the checkpoint of a stage in a run's folder."""
    return folder / f"{name}.pt"


def defaults(stage: StageName) -> StageConfig:
    """Return the config that `--print-config` writes."""
    if stage is StageName.FEATURES:
        quick = Optimization(generator_rate=1e-3, generator_memory=0.99, warm_up=100, final_rate=0.02)
        return StageConfig(optimization=quick, steps=20_000, batch=16)
    if stage is StageName.SYNC:
        quick = Optimization(generator_rate=1e-3, generator_memory=0.99, warm_up=100, final_rate=0.02)
        return StageConfig(optimization=quick, steps=20_000, batch=64)
    if stage is StageName.LIPS:
        calm = Optimization(generator_rate=1e-4, generator_memory=0.999, final_rate=0.1)
        return StageConfig(optimization=calm, steps=100_000)
    return StageConfig()


def to_json(config: StageConfig) -> str:
    """Return the text of a config file."""
    return json.dumps(to_dict(config), indent=2) + "\n"


def to_dict(config: StageConfig) -> dict[str, Any]:
    """Return the JSON object that `from_dict` reads."""
    return {
        **asdict(config),
        "network": config.network.to_dict(),
        "audio": config.audio.to_dict(),
        "sync": config.sync.to_dict(),
        "data": [dict(description) for description in config.data],
    }


def plain(config: StageConfig) -> dict[str, Any]:
    """Return the config as a checkpoint gives it back: no enumerations, tuples as lists."""
    values = to_dict(config)
    values["critic"]["kind"] = str(config.critic.kind.value)
    return values


def check_agreement(
    path: Path, stored: Mapping[str, Any], config: StageConfig, continued: bool = False
) -> None:
    """Raise `EDTalkError(BAD_MESSAGE)` when a checkpoint was made with another network than the config has.

    A stage that begins with another's result may take the enhancement away, one that is continued may not.
    """
    then, now = _structure(stored), _structure(plain(config))
    if not continued:
        then["ablation"].pop("enhancement")
        now["ablation"].pop("enhancement")
    for name, value in then.items():
        if value != now[name]:
            raise EDTalkError(
                ErrorCode.BAD_MESSAGE,
                f"{path} was trained with another {name}: {value} instead of {now[name]}.",
                "Give the config it was started with, or another --out folder.",
            )


def _structure(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides which tensors there are and what they mean."""
    critic = {name: values["critic"][name] for name in ("width", "depth", "scales")}
    return {"network": values["network"], "ablation": dict(values["ablation"]), "critic": critic}


def read(path: Path, stage: StageName) -> StageConfig:
    """Read a JSON or TOML file over the stage's defaults; `EDTalkError(BAD_MESSAGE)` says what is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise misfit(f"{path} cannot be read: {error}") from error
    return from_dict(values, defaults(stage))


def from_dict(values: Any, base: StageConfig) -> StageConfig:
    """Return `base` with the fields of a JSON object; `EDTalkError(BAD_MESSAGE)` names a field that does not fit."""
    config = _merged(base, values, "the config")
    if config.batch < 1 or config.accumulate < 1 or config.window < 1 or config.steps < 1:
        raise misfit("batch, accumulate, window and steps must be at least 1")
    return config


def _merged(base: T, values: Any, place: str) -> T:
    """Return a copy of the dataclass `base` with the given fields replaced, recursively."""
    if not isinstance(values, Mapping):
        raise misfit(f"{place} must be an object, not {values!r}")
    known = {item.name: getattr(base, item.name) for item in fields(base)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise misfit(f"{place} has no field {name!r}")
        known[name] = _fitted(known[name], value, f"{place}: {name}")
    try:
        return type(base)(**known)
    except ValueError as error:
        raise misfit(f"{place}: {error}") from error


def _fitted(old: Any, value: Any, place: str) -> Any:
    """Return `value` if it is of the same kind as `old`."""
    if is_dataclass(old):
        return _merged(old, value, place)
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(old, StrEnum):
        return _choice(type(old), value, place)
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(old) is not type(value):
        raise misfit(f"{place} must be like {old!r}, not {value!r}")
    return value


def _choice(kind: type[StrEnum], value: Any, place: str) -> StrEnum:
    try:
        return kind(value)
    except ValueError as error:
        raise misfit(f"{place} must be one of {', '.join(kind)}, not {value!r}") from error


def misfit(cause: str) -> EDTalkError:
    """Return the error of a config, or of an option like one, that cannot be used."""
    return EDTalkError(
        ErrorCode.BAD_MESSAGE,
        f"The training config cannot be used: {cause}.",
        "Compare it with what `edtalk train stage NAME --print-config` writes.",
    )
