"""Sentences to speak: a hand-written list with all sounds in it, and endless ones from a small grammar."""

from __future__ import annotations

import numpy as np

WRITTEN = (
    "Bob and Pam popped up to pick a purple pepper.",
    "My mother makes more marmalade than most people.",
    "Five very fine villages have fewer than fifty families.",
    "Please put the paper by the piano before breakfast.",
    "We were walking west while the wind went wild.",
    "Choose a cheap chair, but check the church bench too.",
    "She should wash the fish dish and shut the shop.",
    "A measure of pleasure is hidden in every treasure.",
    "The judge enjoyed a large orange in the village of Jericho.",
    "Those three thin thieves thought that Thursday was theirs.",
    "Could you look at the good book about wood and wool?",
    "Who knew the blue moon would move so soon?",
    "Our house is now south of the round brown tower.",
    "The boy enjoys the noisy toys and the oily coins.",
    "I might try the light pie at nine tonight.",
    "They say the train may be late again today.",
    "Joan only goes home alone over the old stone road.",
    "All the tall daughters fought for the small ball.",
    "Father parked the car far from the dark barn.",
    "That cat sat and had a snack on the black mat.",
    "Ten men went west and left the tent when it was wet.",
    "It is in this thin tin that his ring is hidden.",
    "Be sweet, eat three green peas, and read a piece to me.",
    "Some of us must come up, and run under the sun.",
    "Her bird heard the first word and turned early.",
    "Yes, you used to use a yellow yacht in your youth.",
    "Keep the cake in a cool corner of the kitchen.",
    "Good girls get great big gifts, and give again.",
    "Long songs bring strong young singers along.",
    "He had hoped that Harry would help her hurry home.",
    "Really, the red rose is rarer around the river.",
    "Lily loves a little yellow lamp and a full glass of milk.",
    "Zoe is as busy as the bees in the zoo.",
    "Six sad sisters sat still and saw the sea.",
    "Don't do that today, Dad, you'd damage the deed.",
    "Two tiny tigers took a train to Toronto.",
    "Nobody knows any new names for the nine nurses.",
    "Mm, maybe. Hmm, I am not so sure.",
    "Ah! Oh? Oops. Wow! Ouch.",
    "One, two, three, four, five, six, seven, eight, nine, ten.",
    "Eleven, twelve, thirteen, fourteen, fifteen, sixteen, twenty, a hundred, a thousand, a million.",
    "Hello, and welcome. My name is Pat, and this is my voice.",
    "How are you? I am very well, thank you, and you?",
    "Good morning, everybody. Shall we begin?",
    "What a beautiful day for a walk by the water!",
    "I have never, ever, in my whole life, been so happy.",
    "Stop! Do not open that door.",
    "Perhaps we move too fast; perhaps we move too slowly.",
    "The animator moves the mouth, the head and the brows.",
    "A picture may speak, if somebody gives it a voice.",
    "Baby bubbles bump above the bathtub.",
    "Move over, mammoth: the mouse may come home.",
    "The weather will be warm, with a few showers over the valley.",
    "Push the boat, pull the rope, and jump before the wave arrives.",
    "People who plan ahead pay a smaller price in September.",
    "Honestly, whatever happens, we shall find a way to fix it.",
    "The museum opens at half past eight and closes before five.",
    "Put up an umbrella, because it is about to pour.",
    "My favourite view is from above the waterfall.",
    "Tomorrow's problem is not today's problem.",
)

_SUBJECTS = (
    "my brother", "the old farmer", "a brave woman", "the whole village", "Peter", "Emma", "our neighbour",
    "the bishop", "every child", "nobody", "the painter", "this famous chef", "the white rabbit", "a lovely voice",
    "the captain", "your mother", "the judge", "somebody", "the mayor of Bath", "Victor", "a young pilot",
    "the orchestra", "we all", "Bob", "the police officer", "Barbara", "the wooden puppet", "Mr. Weaver", "Sophie",
    "the fisherman",
)  # fmt: skip
_VERBS = (
    "found", "saw", "bought", "opened", "painted", "forgot", "moved", "pushed", "watched", "carried", "believed",
    "imagined", "brought", "washed", "chose", "measured", "followed", "heard about", "made", "gave up", "thought of",
    "jumped over", "waited for", "laughed about", "voted for", "put away", "looked through", "fixed", "borrowed",
    "wrapped",
)  # fmt: skip
_OBJECTS = (
    "a purple boat", "the broken window", "five fresh apples", "some warm bread", "the blue bicycle", "a huge map",
    "the measure of all things", "another big problem", "a pair of shoes", "the first chapter", "my yellow umbrella",
    "the whole world", "too much food", "a beautiful picture", "the empty bottle", "nothing", "a church with a tower",
    "the movie", "that awful noise", "the longest bridge", "a garage", "twelve thick books", "an orange balloon",
    "the violin", "every page of it", "a bowl of soup", "the moon above the hills", "a cheap watch", "the old map",
    "three feathers", "the voice of reason", "his missing thumb",
)  # fmt: skip
_PLACES = (
    "in the garden", "by the river", "before breakfast", "on Thursday evening", "under the bridge", "at home",
    "for a moment", "in the middle of the night", "with both hands", "near the harbour", "after the show",
    "without a word", "above the clouds", "last summer", "over there", "because it was Friday", "as if by magic",
    "from the very beginning", "between two meetings", "as usual", "in front of everybody", "far away", "",
    "",
)  # fmt: skip
_OPENINGS = (
    "well,", "however,", "maybe", "of course,", "so", "look,", "yesterday", "finally,", "I think", "they say that",
    "we hope that", "you know,", "believe me,", "it seems that", "honestly,", "", "", "", "", "", "", "",
)  # fmt: skip
_WORDS = (  # noqa: SIM905 (reads like text)
    "people house water music voice garden money summer winter window table river purple orange green happy angry"
    " quiet wonderful terrible possible number system language machine picture paper morning evening always never"
    " maybe move bring hope feel believe wish wash push pull jump show choose thank through over under above open"
    " close buy food look good boat road thought caught calm palm measure pleasure vision church bridge fish shoe"
    " wave value apple baby film from farm arm thumb world work girl bird turn boy join point cow out mouth way game"
    " time life night high fly my be he who me by pay bay may bee pea map mob pop bib mum web swim wipe beam lamp"
).split()


def sentence(rng: np.random.Generator, written: bool = True) -> str:
    """Draw a sentence: hand-written, from the grammar, or a few words in random order (so that no context can be
    learnt).

    Without `written` it is never one of the list.
    """
    kind = rng.random() if written else rng.uniform(0.15, 1.0)
    if kind < 0.15:
        return str(rng.choice(WRITTEN))
    if kind < 0.35:
        return " ".join(rng.choice(_WORDS, int(rng.integers(3, 9)))).capitalize() + str(
            rng.choice([".", "?", "!"])
        )
    parts = [rng.choice(bag) for bag in (_OPENINGS, _SUBJECTS, _VERBS, _OBJECTS, _PLACES)]
    text = " ".join(str(part) for part in parts if part)
    return text[0].upper() + text[1:] + str(rng.choice([".", ".", "?", "!"]))
