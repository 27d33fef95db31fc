# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogues for Blender, and Blender's translators for `core.text.translate`.

Blender asks for an operator's label in a context of its own, and for all else in the default one. Our messages are
known in both, and in one of ours: where Blender's own catalogue has a word already, that one counts, and where it means
something else (a mesh's face), a property asks for ours by its `translation_context`.
"""

from __future__ import annotations

from bpy.app import translations

from ..core.text import translate
from ..languages import CATALOGUES, messages
from .runtime.preferences import PACKAGE

CONTEXTS = (translations.contexts.default, translations.contexts.operator_default, translate.CONTEXT)


def register() -> None:
    """Speak the user's language."""
    known = {
        language: {(context, english): own for english, own in catalogue.items() for context in CONTEXTS}
        for language, catalogue in CATALOGUES.items()
    }
    translations.register(PACKAGE, known)
    translators = translate.Translators(
        translations.pgettext_iface, translations.pgettext_tip, translations.pgettext_rpt, messages()
    )
    translate.use_translators(translators)


def unregister() -> None:
    """Speak English again."""
    translate.use_translators(translate.ENGLISH)
    translations.unregister(PACKAGE)
