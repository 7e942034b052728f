"""A run as it is watched: a picture, plain lines or JSON lines, while it goes on and after it."""

import io
import json
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from common.errors import ConfigError, FederationError, NotApprovedError, RefusedError, StorageError
from common.event_log import run_log
from common.events import (
    Alarm,
    Failed,
    Looked,
    Measured,
    RunEvent,
    SiteStands,
    Stage,
    Summed,
    Turned,
    emit,
    stage,
)
from common.run_view import RunView
from common.run_words import balance, expected
from server import conduct, run_folder
from server.progress import shown
from server.recorded import Stands, began, with_its_end
from server.run_cli import watch
from server.run_folder import RunFolder
from server.run_lines import Lines
from server.run_picture import Picture
from server.run_shown import Shown, Streamed
from server.watching import Watching, found
from tests import toy
from tests.federation import LocalFederation

from .conducted import admitted, plan_of, run_of

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)
SITES = ("north", "south", "east", "west")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """OUT of a simulation that is followed, from another thread, while it goes on."""
    out = tmp_path_factory.mktemp("watch") / "study"
    federation = LocalFederation(toy.run_folder(out.with_name("study.run")))
    stands = Stands()

    def told(state):
        return lambda site, raw: (stands(site, state), raw)[1]

    federation.before, federation.after = told("busy"), told("ready")

    def run():
        with with_its_end(federation.run.folder, federation.plan, federation.run.schema):
            federation.coordinator().run()

    stream, going = io.StringIO(), threading.Thread(target=run)
    streamed, looks = Streamed(stream), []

    def show(run, new):
        looks.append(len(new))
        streamed(run, new)

    going.start()
    state = Watching(found(str(out), Path())).follow(show)
    going.join()
    return out, state, stream.getvalue(), looks


def drawn(run, width, height, clock=lambda: at(100)):
    """The picture on a terminal of that size, line by line."""
    console = Console(
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        file=io.StringIO(),
        record=True,
    )
    console.print(Picture(run, clock), end="")
    return console.export_text().splitlines()


def looked_at(out) -> Watching:
    run = Watching(found(str(out), Path()))
    run.look()
    return run


def test_a_run_is_followed_to_its_end_and_every_event_of_the_log_is_streamed_once(out):
    folder, state, stream, looks = out
    assert state == "finished"
    assert sum(map(bool, looks)) > 1  # it came as it happened
    events = [TypeAdapter(RunEvent).validate_json(line) for line in stream.splitlines()]
    assert events == run_log(folder.with_name("study.run")).read()[0]


def test_json_is_one_event_a_line_and_the_exit_code(out, capsys):
    folder, _, stream, _ = out
    with pytest.raises(SystemExit) as ended:
        watch(str(folder), Path(), True)
    assert ended.value.code == 0
    assert capsys.readouterr().out == stream


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 50)])
def test_a_finished_run_fits_a_terminal(out, width, height):
    lines = drawn(looked_at(out[0]), width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "finished" in lines[0]
    assert "of 3  delta 1e-05, add/remove one subject" in lines[1]
    for phase in ("enrol", "keys", "count", "measure", "fit", "train"):
        assert f"✓ {phase} " in text
    assert "· release" in text  # this one made none
    assert text.count("● site-") == 4
    assert "rounds   2 of 2" in text
    assert "sums     4, " in text
    assert "MB from all sites" in text
    assert "loss" in text
    assert "sample of step train-0002, synthetic" in text
    assert "age  smoker  cost" in text
    rows = (out[0].with_name("study.run") / "coordinator/samples/train-0002.csv").read_text().splitlines()
    assert rows[1].split(",")[2] in text


def test_the_latest_run_of_a_federation_is_meant_by_its_hash_and_not_by_anything_else(out, tmp_path):
    folder = out[0].with_name("study.run")
    assert found(str(folder), tmp_path).folder == folder
    with pytest.raises(ConfigError, match="no run nothing"):
        found("nothing", tmp_path)
    with pytest.raises(FederationError):
        found(None, tmp_path)
    with pytest.raises(ConfigError):  # made by a run, but none
        found(str(folder / "coordinator"), tmp_path)


# what happens in a run that does not go well, as its log would have it


def empty(out, folder) -> Watching:
    """A run of the same plan in which nothing has happened."""
    (folder / "sites").mkdir(parents=True)
    for name in ("plan.json", "schema.toml"):
        shutil.copy(out[0].with_name("study.run") / name, folder)
    return Watching(RunFolder(folder))


@pytest.fixture
def troubled(out, tmp_path):
    """A run whose log is written by hand; what is written to it is taken in."""
    run = empty(out, tmp_path / "run")
    first = began(run.plan, run.run.schema).model_copy(
        update={"time": at(0), "sites": SITES, "schedule": "every-step", "steps": 50}
    )
    log = run_log(run.run.folder)
    with RunFolder(run.run.folder).alone():

        def tell(*events):
            for event in (first, *events) if run.view.began is None else events:
                log.append(event)
            return run.look()

        tell(Turned(time=at(0), state="running"))
        run.tell = tell
        yield run


def trouble():
    return (
        Stage(time=at(1), phase="enrol", done=0, total=1, epsilon=0.0),
        Stage(time=at(5), phase="measure", done=1, total=1, epsilon=1.0),
        Stage(time=at(10), phase="train", done=0, total=50, epsilon=1.0),
        Stage(time=at(70), phase="train", done=10, total=50, epsilon=1.5),
        *(SiteStands(time=at(60), site=site, state="busy") for site in SITES),
        *(SiteStands(time=at(61), site=site, state="ready") for site in SITES[:3]),
        SiteStands(time=at(90), site="west", state="late"),
        Failed(time=at(90), step="train-0010", site="west", code="no-answer"),
        Summed(
            time=at(90),
            step="train-0010",
            contributors=3,
            missing=("west",),
            up=5_000_000,
            down=600_000,
            seconds=30.0,
        ),
        Measured(time=at(90), name="fakes_told", step=10, value=0.99),
        Looked(
            time=at(91),
            step="train-0010",
            samples="samples/none.csv",
            alarms=(Alarm(of="severe", alarm="few kinds", advice="more rounds, or a smaller rate"),),
            advice="D tells nearly every fake: more generator steps",
            fakes_told=0.99,
            generator_steps=1.4,
        ),
    )


def test_trouble_is_seen_with_what_to_do_and_how_long_it_will_take(troubled):
    troubled.tell(*trouble())
    text = "\n".join(drawn(troubled, 80, 40))
    assert "▶ train   ━━────── ".replace("─", "━") in text
    assert "10/50 ~4 min left" in text
    assert "● west  late, 10 s, missed 1" in text
    assert "slow     west" in text
    assert "D tells 99% of the fakes, G takes 1.4 steps for each of D's" in text
    assert "in balance" not in text
    assert "! few kinds of severe: more rounds, or a smaller rate" in text
    assert "! D tells nearly every fake: more generator steps" in text
    assert "west in step train-0010: no-answer" in text
    assert "sample of" not in text  # the file is not there
    wide = "\n".join(drawn(troubled, 140, 50))
    assert "is asked again in the next step" in wide


def test_what_matters_most_is_left_when_there_is_no_room(troubled):
    troubled.tell(
        *trouble(),
        Turned(time=at(95), state="failed", code="protocol-not-enough-sites", message="2 sites", hint="wait"),
    )
    for height in range(6, 30):
        lines = drawn(troubled, 80, height)
        assert len(lines) < height
        assert "failed" in lines[0]
        assert "protocol-not-enough-sites" in "\n".join(lines)
    few, many = "\n".join(drawn(troubled, 80, 16)), "\n".join(drawn(troubled, 80, 40))
    assert "✗ train" in few
    assert "✗ train" in many
    assert "bytes" not in few
    assert "bytes" in many
    assert "hint   wait" in many


def test_two_hundred_sites_are_shown_by_the_worst(troubled):
    names = [f"site-{number:03}" for number in range(200)]
    states = ["late" if number == 150 else "gone" if number == 199 else "ready" for number in range(200)]
    troubled.tell(
        *(SiteStands(time=at(1), site=name, state=state) for name, state in zip(names, states, strict=True))
    )
    text = "\n".join(drawn(troubled, 80, 24))
    assert text.index("site-199 gone") < text.index("site-150 late") < text.index("site-000 ready")
    assert "more" in text
    assert "ready, 4 not seen yet" in text


def test_what_somebody_else_wrote_cannot_move_the_cursor(troubled):
    hostile = "gone\x1b[2J\x1b]0;title\x07 wrong"
    troubled.tell(Failed(time=at(2), step="fit", site="north", code=hostile))
    troubled.tell(Turned(time=at(3), state="failed", code="internal", message=hostile, hint=hostile))
    written = []
    lines = Lines(3.0, written.append)
    lines.caught_up(RunView(), "waiting")
    lines.show(troubled.view, [Failed(step="fit", site="north", code=hostile), troubled.view.ending])
    text = "\n".join([*drawn(troubled, 80, 40), *written])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\u001b[2J" in text


def test_lines_say_what_is_worth_one_and_no_more_than_a_handful_a_second(troubled):
    written, now = [], [0.0]
    lines = Lines(3.0, written.append, lambda: now[0])
    lines.caught_up(troubled.view, "running")
    assert written == [f"{troubled.plan.run}  running; epsilon 0.000 of 3; 0 sums; 4 not seen yet"]
    lines.show(troubled.view, troubled.tell(*trouble()))
    text = "\n".join(written)
    assert "train    10/50  epsilon 1.500 of 3, about 4 min more  DP-SGD" in text
    assert "site     west: late; it did not answer in time" in text
    assert "north" not in text  # busy and ready again in every step
    assert "trouble  west in step train-0010: no-answer" in text
    assert "sum      train-0010: 3 sites, without west, 30 s, 5.0 MB up, 600 kB down" in text
    assert "alarm    after train-0010: few kinds of severe: more rounds" in text
    before = len(written)
    for step in range(11, 50):  # all in one second
        lines.show(
            troubled.view,
            troubled.tell(
                Stage(time=at(step), phase="train", done=step, total=50, epsilon=2.0),
                Summed(
                    time=at(step),
                    step=f"train-{step:04}",
                    contributors=4,
                    missing=(),
                    up=1,
                    down=1,
                    seconds=1.0,
                ),
                SiteStands(time=at(step), site="west", state="paused" if step == 49 else "gone"),
            ),
        )
    assert len(written) - before <= 6
    now[0] = 2.0
    lines.show(troubled.view, troubled.tell(Turned(time=at(99), state="finished")))
    assert written[-1].startswith("site     west: paused")  # said at last, as it is now
    assert "finished" in written[-2]


def test_a_run_is_conducted_by_one_process(troubled, monkeypatch):
    troubled.tell(*trouble())
    assert troubled.state == "running"
    monkeypatch.setattr(run_folder, "_PROBED", 0.0)
    with (
        pytest.raises(StorageError, match="under way"),
        with_its_end(troubled.run.folder, troubled.plan, troubled.run.schema),
    ):
        pass


def test_a_run_whose_process_died_is_not_waited_for_and_its_stream_says_so(out, tmp_path):
    run = empty(out, tmp_path / "run")
    run.look()
    assert run.state == "waiting"  # nothing has happened yet
    log = run_log(run.run.folder)
    log.append(began(run.plan, run.run.schema).model_copy(update={"sites": SITES}))
    log.append(Turned(state="running"))
    stream = io.StringIO()
    assert run.follow(Streamed(stream)) == "interrupted"
    assert [json.loads(line)["kind"] for line in stream.getvalue().splitlines()] == [
        "began",
        "state",
        "state",
    ]
    assert json.loads(stream.getvalue().splitlines()[-1])["state"] == "interrupted"
    assert len(log.read()[0]) == 2


def test_a_failed_run_ends_watching_with_its_own_code(troubled, capsys):
    troubled.tell(Turned(state="failed", code="protocol-not-enough-sites", message="2 of 3", hint=""))
    with pytest.raises(RefusedError) as ended:
        watch(str(troubled.run.folder), Path(), False)
    assert ended.value.refusal_code == "protocol-not-enough-sites"
    with pytest.raises(SystemExit) as streamed:
        watch(str(troubled.run.folder), Path(), True)
    assert streamed.value.code == 5
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["code"] == "protocol-not-enough-sites"


def test_a_terminal_gets_a_picture_and_a_pipe_gets_lines(out, capsys):
    run = looked_at(out[0])
    screen = io.StringIO()
    with Shown(Console(file=screen, force_terminal=True, width=80, height=24)) as shown:
        shown(run, [])
        shown(run, [])
    assert screen.getvalue().count("● ") == 0  # coloured: the light and the name are apart
    assert "\x1b[2J" not in screen.getvalue()  # never cleared: nothing flickers
    assert screen.getvalue().count("add/remove one subject") >= 2
    pipe = io.StringIO()
    with Shown(Console(file=pipe, width=80)) as shown:
        shown(run, [])
    assert "\x1b" not in pipe.getvalue()


def test_expected_phases_are_those_that_come(out):
    run = looked_at(out[0])
    assert [phase.name for phase in run.view.phases] == [one for one in run.phases if one != "release"]
    assert expected(run.plan, deployed=True)[0] == "approve"


def test_balance_is_said_only_of_a_d_that_the_coordinator_has(troubled):
    assert balance(RunView()) == ""
    assert balance(troubled.view) == ""
    troubled.tell(Measured(name="fakes_told", step=1, value=0.7))
    assert balance(troubled.view) == "D tells 70% of the fakes; in balance"
    emit(Turned(state="running"))  # to nobody


def test_of_a_federations_run_its_status_has_the_word(tmp_path, monkeypatch):
    """Whoever conducted it may have died, or not been able to write the log."""
    monkeypatch.setattr(conduct, "_APPROVAL_PAUSE", 0.0)
    made, sites = admitted(tmp_path, toy.HOSPITALS[:3])
    run = run_of(made, plan_of(made, tmp_path))
    with pytest.raises(NotApprovedError):
        conduct.conduct(run.folder, sites.make)
    monkeypatch.chdir(made.folder)
    watching = Watching(found(None, Path()))
    assert watching.run.folder == Path("runs") / run.plan.hash
    watching.look()
    assert watching.state == "failed"
    assert watching.ending() is watching.view.ending
    assert watching.phases[:2] == ["approve", "enrol"]
    text = "\n".join(drawn(watching, 80, 24))
    assert "✗ approve" in text
    assert "not approved in time by" in text
    assert text.count("not approved yet") == 3
    assert "hint   their data stewards: fedcgan site plans" in text
    # its log lost
    for file in watching.run.folder.glob("events*.jsonl"):
        file.unlink()
    blind = Watching(found(run.plan.hash[:8], Path()))
    blind.look()
    assert (blind.state, blind.ending().code) == ("failed", "protocol-not-approved")
    assert "not approved in time by" in "\n".join(drawn(blind, 80, 24))
    # its conductor dead: nothing says so but the lock
    run.write(run.status.model_copy(update={"state": "running", "phase": "approve", "failure": None}))
    blind.look()
    assert blind.state == "interrupted"
    with run.alone():
        blind.look()
        assert blind.state == "running"


def screen_of(block) -> str:
    screen = io.StringIO()
    block(Console(file=screen, force_terminal=True, width=80, height=30))
    return screen.getvalue()


def test_a_command_shows_the_picture_of_the_run_that_it_began_and_not_of_an_earlier_one(out):
    folder = out[0].with_name("study.run")
    began = run_log(folder).read()[0][0]

    def before(console):
        with shown(3.0, False, folder, console):
            pass

    def after(console):
        with shown(3.0, False, folder, console):
            emit(began)

    assert "finished" not in screen_of(before)
    assert "split records" in screen_of(before)
    assert "finished" in screen_of(after)
    assert screen_of(lambda console: shown(3.0, True, folder, console)) == ""


def test_a_release_says_what_it_does(capsys):
    def bundled(console):
        with shown(3.0, False, console=console):
            stage("bundle", 1, 3, 3.0)

    assert "bundle 1/3" in screen_of(bundled)
    with shown(3.0, False):  # no terminal
        stage("bundle", 1, 3, 3.0)
    assert "bundle   1/3  epsilon 3.000 of 3  files of the release" in capsys.readouterr().err
