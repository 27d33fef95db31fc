"""The code cites the paper where the paper says it: a reader who looks there finds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SECTIONS = {
    "edtalk_server/networks/banks.py": "3.1",
    "edtalk_server/networks/encoder.py": "3.1",
    "edtalk_server/networks/interface.py": "3.1",
    "edtalk_server/networks/generator.py": "3.1",
    "edtalk_server/networks/enhancement.py": "3.2",
    "edtalk_server/networks/audio2lip.py": "3.3",
    "edtalk_server/motion/mouth.py": "3.3",
    "edtalk_server/motion/capture.py": "3.1",
    "edtalk_server/training/paper/expression.py": "3.2",
    "edtalk_server/training/paper/decoupling.py": "3.2",
    "edtalk_server/training/paper/losses.py": "3.2",
    "edtalk_server/training/speech/train.py": "3.3",
    "shared_protocol/banks.py": "3.1",
}
"""Banks and heads are 3.1, losses and enhancement 3.2, what sound drives 3.3."""


@pytest.mark.parametrize("path", SECTIONS)
def test_a_module_cites_the_section_that_it_comes_from(path: str) -> None:
    cited = set(re.findall(r"[Ss]ection (\d\.\d)", (ROOT / path).read_text(encoding="utf-8")))
    assert cited == {SECTIONS[path]}


def test_the_network_does_not_pass_the_likelihood_off_as_its_own_equation() -> None:
    text = (ROOT / "edtalk_server/networks/edtalk.py").read_text(encoding="utf-8")
    assert "Eq. 1" in text
    assert not re.search(r"Eq\. [^)]*5", text)


def test_no_place_names_a_section_that_the_method_does_not_have() -> None:
    sources = [*(ROOT / "edtalk_server").rglob("*.py"), *(ROOT / "shared_protocol").rglob("*.py")]
    cited = {
        section
        for path in [*sources, *(ROOT / "docs").glob("*.md")]
        for section in re.findall(r"paper(?:'s|, |) section (3\.\d)", path.read_text(encoding="utf-8"))
    }
    assert cited <= {"3.1", "3.2", "3.3"}
