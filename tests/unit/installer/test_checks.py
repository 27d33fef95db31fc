"""`install.py test`: which checks run, in which order, and what is said about them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edtalk_server.installer import checks, durations, scheduler, server
from edtalk_server.installer.command import parse
from edtalk_server.installer.options import Thoroughness
from edtalk_server.installer.scheduler import Job, Outcome, Status
from edtalk_server.installer.steps import Runner, SetupError

ROOT = Path(__file__).resolve().parents[3]
PASSED, FAILED, SKIPPED = Outcome(Status.PASSED), Outcome(Status.FAILED), Outcome(Status.SKIPPED)


class Diary:
    """Makes jobs that note when they ran."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def job(
        self, name: str, seconds: float = 0, *needs: str, ends: Outcome = PASSED, resource: str = ""
    ) -> Job:
        def work() -> Outcome:
            self.names.append(name)
            return ends

        return Job(name, work, seconds, frozenset(needs), resource)


# --- the scheduler ---------------------------------------------------------------------------------------------------


def test_the_longest_job_comes_first() -> None:
    diary = Diary()
    scheduler.run([diary.job("lint", 2), diary.job("suite", 300), diary.job("types", 60)], 1)
    assert diary.names == ["suite", "types", "lint"]


def test_what_long_jobs_wait_for_comes_before_a_job_of_medium_length() -> None:
    diary = Diary()
    jobs = [diary.job("environment", 20), diary.job("suite", 300, "environment"), diary.job("tests", 100)]
    scheduler.run(jobs, 1)
    assert diary.names == ["environment", "suite", "tests"]


def test_jobs_of_one_resource_begin_early_because_they_wait_for_each_other() -> None:
    diary = Diary()
    windows = [diary.job(f"window {name}", 100, resource="window") for name in "abc"]
    scheduler.run([diary.job("suite", 250), *windows], 1)
    assert diary.names[0] == "window a"


def test_no_lane_idles_while_work_waits() -> None:
    """Each job waits until the other has begun: on one lane they would wait for ever."""
    meeting = threading.Barrier(2, timeout=20)

    def work() -> Outcome:
        meeting.wait()
        return PASSED

    outcomes = scheduler.run([Job("a", work), Job("b", work), Job("c", work), Job("d", work)], 2)
    assert [outcome.status for outcome in outcomes.values()] == [Status.PASSED] * 4


def test_two_jobs_of_one_resource_never_run_beside_each_other() -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def work() -> Outcome:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with lock:
            running[0] -= 1
        return PASSED

    scheduler.run([Job(str(number), work, resource="window") for number in range(8)], 4)
    assert most == [1]


def test_a_failing_job_stops_only_what_needs_it() -> None:
    diary = Diary()
    jobs = [
        diary.job("environment", ends=FAILED),
        diary.job("suite", 0, "environment"),
        diary.job("pictures", 0, "suite"),
        diary.job("lint"),
    ]
    outcomes = scheduler.run(jobs, 1)
    assert sorted(diary.names) == ["environment", "lint"]
    assert [outcome.status.value for outcome in outcomes.values()] == ["FAILED", "FAILED", "FAILED", "passed"]
    assert outcomes["suite"].note == "not run, because of: environment"


def test_what_needs_a_skipped_job_is_skipped_and_no_failure() -> None:
    diary = Diary()
    outcomes = scheduler.run(
        [diary.job("no Python 3.13", ends=SKIPPED), diary.job("suite", 0, "no Python 3.13")], 2
    )
    assert outcomes["suite"].status is Status.SKIPPED


def test_an_error_in_a_job_is_not_swallowed() -> None:
    def work() -> Outcome:
        raise KeyError("a mistake of ours")

    with pytest.raises(KeyError):
        scheduler.run([Job("broken", work)], 2)


def test_a_job_that_would_wait_for_ever_is_refused() -> None:
    diary = Diary()
    with pytest.raises(ValueError, match="suite"):
        scheduler.run([diary.job("suite", 0, "environment")], 2)


def test_the_estimate_counts_lanes_needs_and_resources() -> None:
    diary = Diary()
    pair = [diary.job("a", 60), diary.job("b", 60)]
    assert scheduler.estimate(pair, 1) == 120
    assert scheduler.estimate(pair, 2) == 60
    assert scheduler.estimate([diary.job("a", 60), diary.job("b", 60, "a")], 2) == 120
    windows = [diary.job("a", 60, resource="window"), diary.job("b", 60, resource="window")]
    assert scheduler.estimate(windows, 2) == 120


# --- what runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All environments are there, and two Blenders that can open a window."""
    monkeypatch.setattr(server, "install", lambda *_: None)
    monkeypatch.setattr(checks, "install_module", lambda *_: None)
    monkeypatch.setattr(checks, "find_python", lambda version: "python{}.{}".format(*version))
    monkeypatch.setenv("EDTALK_GUI_ROOT", "/windows/old:/windows/new")


def commands(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, str]:
    """What each check would run, by its name."""
    options = parse(["test", "--dry-run", *flags])
    assert checks.run(options, Runner(Path("no-such-log"), dry=True)) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("=== ")]
    return {line[4:].partition(": ")[0]: line.partition(": ")[2] for line in lines}


def test_the_plain_run_tests_the_oldest_and_the_newest_blender_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = commands(capsys)
    for version in ("4.2.23", "5.2.3"):
        assert ran[f"Blender {version}"].endswith('-m "not release"')
    for version in ("4.5.15", "5.0.1"):
        assert ran[f"Blender {version}"].endswith('-m "versions and not release"')
    assert ran["tests others"].endswith('-m "not release"')
    assert ran["window old"].endswith('-m "gui and oldest_window and not release"')
    assert ran["window new"].endswith('-m "gui and not release"')


def test_before_a_release_nothing_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    ran = commands(capsys, "--all")
    suites = {name: command for name, command in ran.items() if "-m pytest" in command}
    assert {f"Blender {version}" for version in checks.BLENDERS} | {
        "window old",
        "window new",
    } <= suites.keys()
    for name, command in suites.items():
        assert command.endswith("-m gui") if name.startswith("window") else "pytest" in command
        assert "not " not in command


def test_the_quick_run_stays_outside_blender(capsys: pytest.CaptureFixture[str]) -> None:
    ran = commands(capsys, "--quick")
    assert ran.keys() == {"lint", "format", "types", "tests training", "tests networks", "tests others"}
    assert ran["tests others"].endswith('-m "not release and not slow"')


def test_each_folder_of_tests_belongs_to_exactly_one_suite(capsys: pytest.CaptureFixture[str]) -> None:
    ran = commands(capsys, "--quick")
    for folders in checks.OUTSIDE.values():
        for folder in folders:
            assert (ROOT / folder).is_dir()
            assert f"--ignore={folder}" in ran["tests others"]
            assert sum(f" {folder} " in command for command in ran.values()) == 1


def test_more_tests_are_promised_to_take_longer() -> None:
    runner = Runner(Path("no-such-log"), dry=True)
    plans = [checks.plan(parse(["test", *flag]), runner) for flag in (["--quick"], [], ["--all"])]
    quick, plain, whole = (scheduler.estimate(jobs, 2) for jobs in plans)
    assert quick < plain < whole


@pytest.mark.parametrize("flag", ["--quick", "--all"])
def test_quick_and_all_exclude_each_other(flag: str) -> None:
    assert parse(["test", flag]).thoroughness.value == flag[2:]
    assert parse(["test"]).thoroughness is Thoroughness.PLAIN
    with pytest.raises(SystemExit):
        parse(["test", "--quick", "--all"])


# --- what it says ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thoroughness", list(Thoroughness))
def test_the_start_says_what_will_run_and_how_long_it_takes(thoroughness: Thoroughness) -> None:
    text = checks.promise(thoroughness, 1180, 2)
    assert thoroughness.value in text and checks.CONTENTS[thoroughness] in text
    assert "about 21 minutes with 2 at a time" in text


REPORT = """<testsuites><testsuite><testcase classname="tests.unit.test_a" name="test_{name}" time="{time}">{inside}
</testcase></testsuite></testsuites>"""


def test_the_end_shows_seconds_the_slowest_tests_and_what_failed(tmp_path: Path) -> None:
    reports = {
        "Blender": ("slow", 12.5, ""),
        "networks": ("bad", 0.5, '<failure message="assert 5 &lt;= 0&#10;a long story"/>'),
        "others": ("setup", 1, "<error/>"),
    }
    for suite, (name, time, inside) in reports.items():
        (tmp_path / f"{suite}.xml").write_text(
            REPORT.format(name=name, time=time, inside=inside), encoding="utf-8"
        )
    (tmp_path / "killed.xml").write_text("<testsuites><tests", encoding="utf-8")
    outcomes = {
        "lint": Outcome(Status.PASSED, begun=0, seconds=30),
        "types": Outcome(Status.FAILED, "why", begun=10, seconds=50),
    }
    lines = checks.summary(outcomes, durations.read(tmp_path), 2).splitlines()
    slowest = [line for line in lines if "::" in line][:3]
    assert [line.split()[0] for line in slowest] == ["12.5", "1.0", "0.5"]
    assert "types                    FAILED        10      50  why" in lines
    assert any(line.startswith("total") and "60  with 2 at a time, busy 67%" in line for line in lines)
    assert lines[-3:] == [
        "Failed tests:",
        "networks  tests.unit.test_a::test_bad  assert 5 <= 0 a long story",
        "others  tests.unit.test_a::test_setup  error",
    ]


def test_an_environment_that_cannot_be_made_fails_its_check_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def install(runner: Runner) -> None:
        runner.say("- PyTorch")
        raise SetupError("The disk is full.", "Free some space.")

    outcome = checks._set_up(Runner(tmp_path / "log"), tmp_path / "own", install)
    assert outcome.status is Status.FAILED and "The disk is full." in outcome.note
    assert capsys.readouterr().out == "- PyTorch\n"


def test_the_log_of_a_step_beside_others_joins_the_common_one_in_one_piece(tmp_path: Path) -> None:
    runner = Runner(tmp_path / "log")
    with runner.collected(tmp_path / "own") as first, runner.collected(tmp_path / "other") as second:
        first.log.write_text("one ", encoding="utf-8")
        second.log.write_text("two\n", encoding="utf-8")
        first.log.write_text("one after\n", encoding="utf-8")
    assert runner.log.read_text(encoding="utf-8") == "two\none after\n"
    assert list(tmp_path.iterdir()) == [runner.log]
