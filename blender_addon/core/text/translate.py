# SPDX-License-Identifier: GPL-3.0-or-later
"""Words for people, in their language. No bpy here.

English sentences stand in the code and are the keys of the catalogues (`languages`). Labels and tooltips that Blender
knows as such it translates itself; all that is put together while the add-on runs goes through `iface_`, `tip_` or
`rpt_`, named like Blender's own, because users choose for interface, tooltips and reports alone. Errors, and what the
server says, stay English inside and are translated where they are shown: by the whole sentence, or by the template that
it was made of, "{0} is an empty file.". `ui.language` hands Blender's translators in; until then all is English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

CONTEXT = "EDTalk"
"""For words that mean something else in Blender's own catalogue."""

Translate = Callable[[str], str]
_PLACE = re.compile(r"\{(\d)\}")


@dataclass(frozen=True)
class Translators:
    """Translators for the interface, tooltips and reports, and all that the catalogues know."""

    iface: Translate = str
    tip: Translate = str
    rpt: Translate = str
    messages: frozenset[str] = frozenset()


ENGLISH = Translators()
_translators = ENGLISH


def use_translators(translators: Translators) -> None:
    """Translate with these from now on."""
    global _translators
    _translators = translators


@contextmanager
def in_english() -> Iterator[None]:
    """Speak English inside the block: for the command line and bug reports."""
    before = _translators
    use_translators(ENGLISH)
    try:
        yield
    finally:
        use_translators(before)


def n_(text: str) -> str:
    """Return the text unchanged: it marks what is translated later, where it is shown."""
    return text


def iface_(text: str, **values: object) -> str:
    """Translate for panels, dialogs, menus, the status bar and words over a view.

    `text` is a template for `values`, or a whole sentence of an error or of the server.
    """
    return _translate_text(_translators.iface, text, values)


def tip_(text: str, **values: object) -> str:
    """Translate like `iface_`, for tooltips and the reason of a grey button."""
    return _translate_text(_translators.tip, text, values)


def rpt_(text: str, **values: object) -> str:
    """Translate like `iface_`, for reports."""
    return _translate_text(_translators.rpt, text, values)


def _translate_text(translate: Translate, text: str, values: dict[str, object]) -> str:
    if values:
        return translate(text).format(**values)
    known = translate(text)
    return known if known != text else _translate_filled(translate, text)


def _translate_filled(translate: Translate, sentence: str) -> str:
    """Translate a sentence whose values are filled in already."""
    match = _template_of(sentence, _translators.messages)
    if match is None:
        return sentence
    template, values = match
    translated = translate(template)
    if translated == template:
        return sentence
    return translated.format(*(_translate_value(translate, value) for value in values))


def _translate_value(translate: Translate, value: str) -> str:
    """Translate what stands in a sentence: a word of ours ("portrait") or a sentence. Anything else, as a name that
    the artist gave, stays."""
    if value.endswith("."):
        return _translate_text(translate, value, {})
    is_word = value.islower() or value.startswith("The ")
    return translate(value) if is_word and value in _translators.messages else value


@lru_cache(maxsize=256)
def _template_of(sentence: str, messages: frozenset[str]) -> tuple[str, tuple[str, ...]] | None:
    """The template with the most words of its own that a sentence was made of, and the values in it."""
    for template in _templates(messages):
        places, pattern = _pattern(template)
        if match := pattern.fullmatch(sentence):
            by_place = dict(zip(places, match.groups(), strict=True))
            return template, tuple(by_place[place] for place in sorted(by_place))
    return None


@lru_cache(maxsize=4)
def _templates(messages: frozenset[str]) -> Sequence[str]:
    return sorted(
        filter(_PLACE.search, messages), key=lambda template: (-len(_PLACE.sub("", template)), template)
    )


@lru_cache(maxsize=512)
def _pattern(template: str) -> tuple[list[int], re.Pattern[str]]:
    """The places of a template in order, and what a sentence made of it looks like."""
    parts = _PLACE.split(template)
    text = "".join("(.*?)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return [int(place) for place in parts[1::2]], re.compile(text, re.DOTALL)
