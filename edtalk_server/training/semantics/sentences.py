"""Sentences with an emotion: own ones by hand, and endless ones from a grammar that serves training alone.

All are written for this project and dedicated to the public domain (CC0). A held-out sentence is chosen by a hash of
its text, so that a new one moves no other.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from edtalk_server.training.semantics import sentences_first, sentences_judged, sentences_second
from edtalk_server.training.semantics.lexicon import CLASSES

_TEXTS = {
    "happy": sentences_first.HAPPY,
    "sad": sentences_first.SAD,
    "angry": sentences_first.ANGRY,
    "surprised": sentences_second.SURPRISED,
    "fear": sentences_second.FEAR,
    "disgusted": sentences_second.DISGUSTED,
    "neutral": sentences_first.NEUTRAL,
}


@dataclass(frozen=True)
class Labelled:
    """A sentence, and the number of its class in `CLASSES`."""

    text: str
    label: int


def written() -> list[Labelled]:
    """Return all own sentences, class by class."""
    return [
        Labelled(row.strip(), number)
        for number, name in enumerate(CLASSES)
        for row in _TEXTS[name].splitlines()
        if row.strip()
    ]


def further() -> list[Labelled]:
    """Return sentences that were written after the others, to judge by; training never sees them."""
    return _judged(sentences_judged.FURTHER)


def negated() -> list[Labelled]:
    """Return sentences with negations, to judge by; training never sees them."""
    return _judged(sentences_judged.NEGATED)


def _judged(rows: str) -> list[Labelled]:
    pairs = [row.split(": ", 1) for row in rows.splitlines() if row.strip()]
    return [Labelled(text, CLASSES.index(name)) for name, text in pairs]


def is_held_out(text: str) -> bool:
    """Return whether a sentence is kept from training: about every sixth."""
    return zlib.crc32(text.encode()) % 6 == 0


# --- a grammar for training ------------------------------------------------------------------------------------------

_PEOPLE = (
    "my brother", "my sister", "the old man", "Anna", "Peter", "the captain", "our neighbour", "your mother", "the boy",
    "the doctor", "my wife", "my husband", "that woman", "the teacher", "everybody", "Mr. Weaver", "the children", "he",
    "she", "Tom", "the girl next door", "our guest", "the queen", "my boss", "uncle Jack",
)  # fmt: skip
_THINGS = (
    "the letter", "the house", "the car", "the dinner", "the news", "the song", "the picture", "the ring", "the door",
    "the phone call", "the trip", "the play", "that dress", "the game", "the boat", "the garden", "the garage",
    "the river", "the hotel", "the school", "this town", "the old bridge", "the kitchen", "the party", "the book",
)  # fmt: skip
_FEELING = {
    "happy": "happy|glad|delighted|thrilled|overjoyed|so proud|cheerful|excited|in love|pleased|grateful|lucky|relieved",
    "sad": "sad|heartbroken|lonely|miserable|so alone|depressed|empty inside|full of grief|unhappy|homesick|crushed|in tears",
    "angry": "angry|furious|livid|mad|outraged|fed up|sick of this|annoyed|enraged|irritated|offended",
    "surprised": "surprised|astonished|amazed|stunned|shocked|speechless|astounded|baffled|dumbfounded",
    "fear": "afraid|scared|terrified|frightened|petrified|worried|nervous|anxious|panicking|so scared|alarmed",
    "disgusted": "disgusted|revolted|nauseous|sick to my stomach|repulsed|grossed out|queasy|appalled",
    "neutral": "in the office|at my desk|on the second floor|at the station|here until six|on the bus|at number nine",
}
_QUALITY = {
    "happy": "wonderful|fantastic|marvellous|lovely|beautiful|perfect|brilliant|delightful|glorious|splendid|heavenly|fun",
    "sad": "gone forever|lost|empty now|a sad place|hopeless|tragic|heartbreaking|a painful memory|over for good|too late",
    "angry": "an outrage|ridiculous|unfair|a disgrace|unacceptable|an insult|a damn lie|infuriating|your fault|stupid",
    "surprised": "unbelievable|incredible|astonishing|amazing|so unexpected|extraordinary|impossible|a complete surprise",
    "fear": "terrifying|dangerous|haunted|not safe|frightening|scary|a nightmare|creepy|on fire|cursed",
    "disgusted": "disgusting|revolting|filthy|gross|vile|rotten|covered in slime|foul|nauseating|repulsive|mouldy|full of rats",
    "neutral": "near the station|on the left|open until five|about ten years old|grey|on the list|the same as before|made of wood",
}
_FRAMES = {
    "happy": "Hooray, {p} loves {t}!|Oh, {t} is {q}, I love it!|{p} laughed and danced all night.|We celebrated, and {p} was {f}.|Thank you, {t} made me so happy!|I love {t}, it is {q}!|How {q}! {p} came home!|What a {q1} day, I could sing!|{p} kissed me, and I am {f}!",
    "sad": "I miss {p} so much.|{p} died last winter.|{p} is gone, and I am {f}.|I lost {t}, I lost everything.|{p} left me, and I cried.|We will never see {p} again.|If only I had told {p}.|I wept when I saw {t}.|Without {p} I am {f}.|I remember {p}, those days are gone.",
    "angry": "How dare you touch {t}!|Get out, and take {t} with you!|You lied to me about {t}!|I hate {t}!|{p} stole {t}, the liar!|I'm {f}, stop it!|You ruined {t}, you idiot!|Don't you dare talk to {p}!|Shut up about {t}!|I told you not to touch {t}!|{p} broke his promise again!",
    "surprised": "What? {p} bought {t}?|No way, {p} did that?|Is that really {p}?|I can't believe it, {t} is {q}!|{p}? Here? Since when?|Wow, I never expected {p}!|Wait, {t} was there all along?|Oh my God, it's {p}!|{p} sold {t}? Are you serious?|Where did {t} come from?|I had no idea that {p} knew!",
    "fear": "Did you hear that? Behind {t}?|Don't go near {t}, please!|Help, {p} has a knife!|Run, {p} is coming!|Something is moving in {t}.|What if {p} finds us?|I'm {f}, don't leave me!|Hide, {p} will kill us!|There's somebody in {t}, I heard it.|Careful, {t} is {q}!|{p} is following us.",
    "disgusted": "Ugh, {t} stinks!|Eww, {t} is {q}!|Take {t} away, it's {q}.|I can't eat that, I am {f}.|{p} never washes, how {q2}!|Yuck, what did {p} put in the soup?|The smell in {t} makes me sick.|{t} is crawling with maggots.|Don't touch {t}, it's {q}!|{p} spat on the plate.",
    "neutral": "{p} will be at {t} on Monday.|{t} is {q}.|{p} is {f}.|{p} put the keys on the table.|You can see {t} from the second window.|{p} asked for the number of {t}.|The meeting with {p} is at half past nine.|{p} usually takes the bus.|We talked about {t} with {p}.|{p} has two copies of the list.|Did {p} call about {t}?|There are three chairs near {t}.",
}
_OPENERS = {
    "happy": "Oh,|Ah,|Yes!|Hey,|Look,|My dear,|", "sad": "Oh,|I'm sorry,|You know,|Well,|Once,|",
    "angry": "Look,|Listen!|Damn it,|Enough!|No!|Hey!|", "surprised": "What?|Oh!|Wait,|Wow,|Huh?|But|",
    "fear": "Oh God,|No, no,|Quick,|Shh,|Please,|Oh no,|", "disgusted": "Ugh,|Eww,|Yuck,|Oh no,|Pfui,|God,|",
    "neutral": "Well,|So|Yes,|All right,|As far as I know,|Look,|",
}  # fmt: skip
_NEGATED = {
    "happy": "I'm not {n} anymore, I feel fine.|There is nothing to be {n} about, all is well.|I've never been less {n}, I feel great.|Don't be {n}, everything is going to be wonderful!|No more tears, let's laugh!",
    "sad": "I'm not happy anymore.|I don't feel any joy.|It was never a happy home.|Nothing makes me smile these days.|I can't be cheerful without {p}.|There's no hope for {p}.|Nobody loves me, not even {p}.|I will never be happy again.|I'm not surprised that {p} left me, I'm only sad.",
    "angry": "I'm not sad, I'm furious!|This is not funny!|I don't love you, I hate you!|I am not happy with you, not at all!|Don't you laugh at me!|I won't stay calm, {p} lied to me!|That's not fair!|Not good enough, do it again!",
    "surprised": "I didn't expect {p}!|I never thought I'd see {t} again!|You're not serious?|That can't be {p}!|I don't believe it!|Nobody told me about {t}!|I wasn't expecting {p} at all!",
    "fear": "I don't feel safe here.|It's not safe near {t}.|I'm not brave, I can't go in there.|Nobody can help us now.|We can't get out!|I'm not sure we are alone.|Don't hurt me, please!",
    "disgusted": "I'm not eating that.|That doesn't smell good, it's off.|I wouldn't touch {t} with a stick.|That's not clean, look at the stains.|It is not fresh, it stinks.|I can't stand that smell.",
    "neutral": "I'm not {n}, just tired from the trip.|I am not {n}, I only wanted to ask about {t}.|It isn't {m}, it's just a house near the river.|There is no {o} here, only an office.|I don't {v} it, I just use it for work.|He wasn't {n}, he just read the paper.|It's neither {m} nor bad.|Nobody is {n}, we are only talking about {t}.|It was not {m}, but it was all right.|I wouldn't call it {m}.|She didn't seem {n} when I saw her.",
}
_NEGATABLE = "happy|sad|angry|surprised|afraid|scared|disgusted|worried|furious|upset|frightened|mad|nervous|excited|shocked"
_NEGATABLE_THING = (
    "wonderful|disgusting|terrible|scary|surprising|awful|exciting|dangerous|sad|funny|beautiful"
)
_BARE = {
    "happy": "Hooray!|Yes!|Wonderful!|Yippee!|Bravo!|I'm so happy.|How lovely.|Fantastic!", "sad": "I miss you.|He's gone.|I'm so sorry.|It's over.|Goodbye.|She died.",
    "angry": "Get out!|Shut up!|How dare you!|Stop it!|Damn you!|Enough!|Liar!", "surprised": "What?|Really?|No way!|Wow!|Oh!|You?|Already?|Seriously?",
    "fear": "Help!|Run!|Who's there?|Don't hurt me!|Look out!|Hide!|They're coming!", "disgusted": "Ugh!|Eww!|Yuck!|Gross.|Disgusting.|It stinks.|How revolting.",
    "neutral": "Yes.|No.|All right.|Okay.|On Monday.|At nine.|Thank you, that's all.|Next, please.",
}  # fmt: skip


def drawn(rng: np.random.Generator) -> Labelled:
    """Draw a sentence from the grammar; a fifth have a negation."""
    label = int(rng.integers(len(CLASSES)))
    name = CLASSES[label]
    kind = rng.random()
    if kind < 0.05:
        return Labelled(_pick(rng, _BARE[name]), label)
    if kind < 0.25:
        frame = _pick(rng, _NEGATED[name])
    elif kind < 0.6:
        frame = _pick(rng, _FRAMES[name])
    else:
        frame = _statement(rng, name)
    opener = _pick(rng, _OPENERS[name]) if rng.random() < 0.4 else ""
    text = _filled(rng, frame, name)
    return Labelled(f"{opener} {text}".strip() if opener else text[0].upper() + text[1:], label)


def _statement(rng: np.random.Generator, name: str) -> str:
    who = (
        "I am {i} {f}.",
        "{p} is {f}.",
        "I feel {i} {f}.",
        "We were all {f}.",
        "{t} is {i} {q}.",
        "It's {q}.",
        "That is {q}!",
    )
    frame = str(
        rng.choice(who if name != "neutral" else ("{p} is {f}.", "{t} is {q}.", "I am {f}.", "It's {q}."))
    )
    return frame.replace("{i}", str(rng.choice(["so", "very", "really", "", "", "absolutely"])))


def _filled(rng: np.random.Generator, frame: str, name: str) -> str:
    values = {
        "p": str(rng.choice(_PEOPLE)),
        "t": str(rng.choice(_THINGS)),
        "f": _pick(rng, _FEELING[name]),
        "q": _pick(rng, _QUALITY[name]),
        "q1": _pick(rng, "wonderful|lovely|glorious|perfect"),
        "q2": _pick(rng, "revolting|disgusting|gross"),
        "n": _pick(rng, _NEGATABLE),
        "m": _pick(rng, _NEGATABLE_THING),
        "o": _pick(rng, "ghost|monster|danger|secret|party|problem"),
        "v": _pick(rng, "love|hate|fear|miss"),
    }
    return " ".join(frame.format(**values).split())


def _pick(rng: np.random.Generator, choices: str) -> str:
    return str(rng.choice(choices.split("|")))
