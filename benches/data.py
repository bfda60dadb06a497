#!/usr/bin/env python3
"""hive beside the tools that people use for data, in one run on one machine.

    benches/data.py                      all of it, writes its part of docs/benchmarks.md
    benches/data.py --quick              small, prints and writes nothing
    benches/data.py --only files,plan    files plan backup memory; the page's other sections stay
    benches/data.py --files N --gigabytes N --s3-gigabytes N

files    N migration files on PostgreSQL: hive, golang-migrate, goose
plan     a plan without changes over N applied files and N tables, beside `goose status`
backup   backup and restore of 1 GB: hive, and pg_dump and pg_restore over a file
memory   the peak memory of a backup of 5 GB to S3 (MinIO)

The servers are started here with the settings of a fresh installation, fsync included. The peers
come from tests/parts/get. Ratios are within this run; nothing is extrapolated.
"""

import argparse
import os
import platform
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
HIVE = Path(os.environ.get("HIVE_BENCH_BINARY", TARGET / "release" / "hive"))
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- data: written by benches/data.py -->", "<!-- end of data -->"
# How the heading of each section begins.
SECTIONS = {"files": r"[\d,]+ migration files", "backup": "Backup and restore of ", "memory": "Memory of a backup of "}
PASSWORD = "bench"


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.environ.get("HIVE_TEST_CACHE") or os.path.join(base, "hive-tests"))


def program(name):
    for line in (ROOT / "tests" / "parts" / "versions").read_text().splitlines():
        words = line.split()
        if words and words[0] == name:
            return cache() / f"{name}-{words[2]}" / name
    sys.exit(f"tests/parts/versions has no {name}")


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def unprivileged():
    """Whom the servers run as: PostgreSQL refuses root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    return {}


class Postgres:
    def __init__(self, scratch):
        found = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
        folders = [Path(found.stdout.strip())] + sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self.bin = next(it for it in folders if (it / "initdb").exists())
        self.folder = scratch / "postgres"
        self.folder.mkdir()
        who = unprivileged()
        if who:
            os.chown(self.folder, who["user"], who["group"])
        word = self.folder / "word"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        data = self.folder / "data"
        command = [self.bin / "initdb", "-D", data, "-U", "bench", "-A", "scram-sha-256"]
        command += ["--locale=C", "-E", "UTF8", "--pwfile", word]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, **who)
        self.port = free_port()
        command = [self.bin / "postgres", "-D", data, "-c", f"port={self.port}"]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        # 2,000 tables in one dump hold 2,000 locks.
        command += ["-c", "max_locks_per_transaction=256"]
        log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **who)
        for _ in range(200):
            if self.sql("postgres", "SELECT 1", check=False).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("PostgreSQL does not come up")

    def environment(self):
        return {**os.environ, "PGPASSWORD": PASSWORD}

    def where(self):
        return ["-h", "127.0.0.1", "-p", str(self.port), "-U", "bench"]

    def url(self, name):
        return f"postgres://bench:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def sql(self, name, text, check=True):
        command = [self.bin / "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *self.where(), "-d", name]
        return subprocess.run([*command, "-c", text], check=check, capture_output=True, text=True,
                              env=self.environment())

    def database(self, name):
        self.sql("postgres", f"CREATE DATABASE {name}")
        return name

    def version(self):
        return self.sql("postgres", "SHOW server_version").stdout.strip()

    def fill(self, name, gigabytes):
        """Rows of a length as orders have it, with an index; so many GB on disk."""
        self.sql(name, "CREATE TABLE orders (id bigint PRIMARY KEY, customer text, note text, at timestamptz)")
        rows, piece, first = int(gigabytes * 5_000_000), 500_000, 0
        while first < rows:
            last = min(first + piece, rows)
            self.sql(name, "INSERT INTO orders SELECT n, md5(n::text), repeat(md5((n * 7)::text), 3), "
                     f"now() - n * interval '1 second' FROM generate_series({first + 1}, {last}) n")
            first = last
        self.sql(name, "CREATE INDEX ON orders (customer)")
        self.sql(name, "VACUUM ANALYZE")
        size = self.sql(name, f"SELECT pg_database_size('{name}')").stdout
        return int(size) / 1e9

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Minio:
    def __init__(self, scratch):
        self.port = free_port()
        environment = {"HOME": str(scratch), "MINIO_ROOT_USER": "bench-user", "MINIO_BROWSER": "off",
                       "MINIO_ROOT_PASSWORD": "bench-secret", "MINIO_UPDATE": "off"}
        command = [program("minio"), "server", scratch / "minio", "--address", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        make = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "--aws-sigv4",
                "aws:amz:us-east-1:s3", "--user", "bench-user:bench-secret",
                f"http://127.0.0.1:{self.port}/bench"]
        for _ in range(200):
            if subprocess.run(make, capture_output=True, text=True).stdout in ("200", "409"):
                return
            time.sleep(0.1)
        sys.exit("MinIO does not come up")

    def stop(self):
        self.process.kill()
        self.process.wait()


def run(command, folder, environment=None, expect=(0,), out=None):
    """Seconds, and the peak memory in MB of the command and of what it waited for."""
    before = time.perf_counter()
    process = subprocess.Popen([str(it) for it in command], cwd=folder,
                               stdout=out or subprocess.DEVNULL, stderr=subprocess.PIPE,
                               env={**os.environ, "NO_COLOR": "1", **(environment or {})})
    errors = process.stderr.read() if out is None else b""
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expect:
        sys.exit(f"{' '.join(map(str, command))}: exit {process.returncode}\n{errors.decode()[-3000:]}")
    return seconds, usage.ru_maxrss / 1024


def piped(first, second, folder, environment, to):
    """The same of two commands joined by a pipe into a file: seconds alone."""
    before = time.perf_counter()
    with open(to, "wb") as file:
        one = subprocess.Popen([str(it) for it in first], cwd=folder, stdout=subprocess.PIPE,
                               env={**os.environ, **environment})
        two = subprocess.Popen(second, stdin=one.stdout, stdout=file)
        one.stdout.close()
        if two.wait() != 0 or one.wait() != 0:
            sys.exit(f"{first} | {second} failed")
    return time.perf_counter() - before


def stack(folder, url, more=""):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "url").write_text(url)
    (folder / "stack.toml").write_text(
        f'[stack]\nname = "{folder.name}"\n\n[database.main]\nengine = "postgres"\n'
        f'url = {{ file = "url" }}\n{more}'
    )


def migration_files(folder, count):
    ours, theirs, goose = folder / "migrations", folder / "migrate", folder / "goose"
    for it in (ours, theirs, goose):
        it.mkdir(parents=True)
    for n in range(1, count + 1):
        up = (f"CREATE TABLE t{n} (id bigint PRIMARY KEY, name text NOT NULL, at timestamptz);\n"
              f"CREATE INDEX t{n}_name ON t{n} (name);\n")
        down = f"DROP TABLE t{n};\n"
        for it in (ours, theirs):
            (it / f"{n:05}_t{n}.up.sql").write_text(up)
            (it / f"{n:05}_t{n}.down.sql").write_text(down)
        (goose / f"{n:05}_t{n}.sql").write_text(f"-- +goose Up\n{up}-- +goose Down\n{down}")


def files(postgres, scratch, count):
    """Every file of a fresh list, each in its transaction, by each tool on a database of its own."""
    folder = scratch / "files"
    migration_files(folder, count)
    stack(folder, postgres.url(postgres.database("hive_files")),
          '[migrations.main]\ndatabase = "main"\npath = "migrations"\n')
    tried = run([HIVE, "migrate", "rehearse"], folder)
    print("rehearsal", tried, flush=True)
    rows = {"hive": run([HIVE, "apply", "-y", "-q", "--no-rehearse"], folder)}
    url = postgres.url(postgres.database("migrate_files")) + "?sslmode=disable"
    rows["golang-migrate"] = run([program("migrate"), "-path", folder / "migrate", "-database", url, "up"], folder)
    url = postgres.url(postgres.database("goose_files"))
    goose = [program("goose"), "-dir", folder / "goose", "postgres", url]
    rows["goose"] = run([*goose, "up"], folder)
    for name, it in rows.items():
        print("files", name, it, flush=True)
    plans = {"hive": min(run([HIVE, "plan", "--exit-code"], folder) for _ in range(3))}
    plans["goose status"] = min(run([*goose, "status"], folder) for _ in range(3))
    for name, it in plans.items():
        print("plan", name, it, flush=True)
    return rows, plans, tried


def backup(postgres, scratch, gigabytes):
    folder = scratch / "backup"
    name = postgres.database("shop")
    size = postgres.fill(name, gigabytes)
    print(f"a database of {size:.2f} GB", flush=True)
    stack(folder, postgres.url(name), '[backup.main]\ndatabase = "main"\ndestination = "backups"\n')
    run([HIVE, "apply", "-y", "-q"], folder)
    rows = []

    def disk(path):
        return sum(it.stat().st_size for it in path.rglob("*") if it.is_file()) / 1e6 if path.is_dir() else path.stat().st_size / 1e6

    dump = [postgres.bin / "pg_dump", *postgres.where(), "-Fc", name]
    environment = {"PGPASSWORD": PASSWORD}
    seconds, mb = run([HIVE, "backup", "run", "-y", "-q", "--no-verify"], folder)
    rows.append(("backup", "hive: zstd, hashed, every row summed", seconds, mb, disk(folder / "backups")))
    with open(scratch / "dump", "wb") as file:
        seconds, mb = run(dump, folder, environment, out=file)
    rows.append(("backup", "pg_dump -Fc to a file (its gzip)", seconds, mb, disk(scratch / "dump")))
    with open(scratch / "dump0", "wb") as file:
        seconds, mb = run([*dump, "-Z0"], folder, environment, out=file)
    rows.append(("backup", "pg_dump -Fc -Z0 to a file (not compressed)", seconds, mb, disk(scratch / "dump0")))
    if shutil.which("zstd"):
        seconds = piped([*dump, "-Z0"], ["zstd", "-q", "-3"], folder, environment, scratch / "dump.zst")
        rows.append(("backup", "pg_dump -Fc -Z0 piped into zstd -3", seconds, None, disk(scratch / "dump.zst")))
    seconds, mb = run([HIVE, "backup", "verify", "-y", "-q"], folder)
    rows.append(("restore", "hive verify: into a scratch database, every row summed", seconds, mb, None))
    seconds, mb = run([HIVE, "backup", "restore", "backup.main", "-y", "-q"], folder)
    rows.append(("restore", "hive restore: closed, safety copy, restored, verified, swapped", seconds, mb, None))
    again = postgres.database("again")
    restore = [postgres.bin / "pg_restore", *postgres.where(), "-d", again]
    seconds, mb = run([*restore, scratch / "dump"], folder, environment)
    rows.append(("restore", "pg_restore from a file (gzip)", seconds, mb, None))
    again = postgres.database("again0")
    restore = [postgres.bin / "pg_restore", *postgres.where(), "-d", again]
    seconds, mb = run([*restore, scratch / "dump0"], folder, environment)
    rows.append(("restore", "pg_restore from a file (not compressed)", seconds, mb, None))
    for row in rows:
        print(*row, flush=True)
    return size, rows


def memory(postgres, scratch, gigabytes):
    folder = scratch / "memory"
    minio = Minio(scratch)
    try:
        name = postgres.database("large")
        size = postgres.fill(name, gigabytes)
        print(f"a database of {size:.2f} GB", flush=True)
        more = (f'[backup.main]\ndatabase = "main"\ndestination = "s3://bench/main"\n'
                f's3 = {{ endpoint = "http://127.0.0.1:{minio.port}", region = "us-east-1", path_style = true, '
                'access_key = { file = "access" }, secret_key = { file = "secret" } }\n')
        stack(folder, postgres.url(name), more)
        (folder / "access").write_text("bench-user")
        (folder / "secret").write_text("bench-secret")
        run([HIVE, "apply", "-y", "-q"], folder)
        seconds, mb = run([HIVE, "backup", "run", "-y", "-q", "--no-verify"], folder)
        print("memory", size, seconds, mb, flush=True)
        return size, seconds, mb
    finally:
        minio.stop()


def ratio(mine, peer):
    return f"{peer / mine:.2f} ×"


def report(postgres, results, count):
    pinned = (ROOT / "tests" / "parts" / "versions").read_text().splitlines()
    version = {line.split()[0]: line.split()[2] for line in pinned if not line.startswith("#")}
    lines = [BEGIN, "", "## Data", "",
             f"Written by `benches/data.py`, in one run on one machine ({os.cpu_count()} cores, "
             f"{platform.system()} {platform.machine()}), PostgreSQL {postgres.version()} with the settings of a fresh "
             f"installation, golang-migrate {version['migrate']}, goose {version['goose']}. Each tool works on a "
             "database of its own. A ratio above 1 says that hive is faster.", ""]
    if "files" in results:
        rows, plans, tried = results["files"]
        mine = rows["hive"][0]
        lines += [f"### {count:,} migration files", "",
                  "A table and an index each, applied to an empty database, a transaction a file. hive also writes "
                  "its journal, the hashes of every statement, and reads the schema's fingerprint.", "",
                  "| tool | time | memory | time / hive's |", "|---|---|---|---|"]
        lines += [f"| {name} | {it[0]:.1f} s | {it[1]:.0f} MB | {ratio(mine, it[0])} |" for name, it in rows.items()]
        mine = plans["hive"][0]
        lines += ["", f"Nothing to do, over {count:,} applied files and {count:,} tables:", "",
                  "| tool | time | memory | time / hive's |", "|---|---|---|---|"]
        lines += [f"| {name} | {it[0]:.2f} s | {it[1]:.0f} MB | {ratio(mine, it[0])} |" for name, it in plans.items()]
        lines += ["", f"A rehearsal of all of them on a copy (up, down, up, each compared): {tried[0]:.1f} s, "
                  f"{tried[1]:.0f} MB.", ""]
    if "backup" in results:
        size, rows = results["backup"]
        lines += [f"### Backup and restore of {size:.2f} GB", "",
                  "| what | how | time | memory | stored | time / hive's |", "|---|---|---|---|---|---|"]
        base = {what: next(it[2] for it in rows if it[0] == what) for what in ("backup", "restore")}
        for what, how, seconds, mb, stored in rows:
            lines.append(f"| {what} | {how} | {seconds:.1f} s | {f'{mb:.0f} MB' if mb else '–'} "
                         f"| {f'{stored:.0f} MB' if stored else '–'} | {ratio(base[what], seconds)} |")
        lines += [""]
    if "memory" in results:
        size, seconds, mb = results["memory"]
        lines += [f"### Memory of a backup of {size:.2f} GB to S3", "",
                  f"{mb:.0f} MB at its peak (goal: at most 200 MB), {seconds:.0f} s, "
                  f"{size * 1000 / seconds:.0f} MB of database a second.", ""]
    return "\n".join([*lines, END])


def section(part, text):
    """Where the section of a part stands, up to the next heading or the end."""
    return re.search(rf"^### {SECTIONS[part]}.*?(?=^##|^{re.escape(END)})", text, re.M | re.S)


def into(page, text, parts):
    """The page with the new text: all of it, or of a page that has the others the sections of these parts."""
    if BEGIN not in page:
        return page.rstrip() + "\n\n" + text + "\n"
    before, rest = page.split(BEGIN, 1)
    old, after = rest.split(END, 1)
    old = BEGIN + old + END
    if set(parts) == set(SECTIONS):
        old = text
    for part in parts:
        new, there = section(part, text).group(), section(part, old)
        # One that is not there yet comes last.
        begin, end = there.span() if there else [len(old) - len(END)] * 2
        old = old[:begin] + new + old[end:]
    return before + old + after


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="files,backup,memory")
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--s3-gigabytes", type=float, default=5.0)
    parser.add_argument("--no-build", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.files, arguments.gigabytes, arguments.s3_gigabytes = 50, 0.02, 0.05
    only = arguments.only.replace("plan", "files").split(",")
    subprocess.run([ROOT / "tests" / "parts" / "get", "postgres", "minio", "migrate", "goose"], check=True)
    if not arguments.no_build:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bins"], cwd=ROOT, check=True)
    scratch = Path(tempfile.mkdtemp(prefix="hive-bench-"))
    scratch.chmod(0o755)
    postgres = Postgres(scratch)
    results = {}
    try:
        if "files" in only:
            results["files"] = files(postgres, scratch, arguments.files)
        if "backup" in only:
            results["backup"] = backup(postgres, scratch, arguments.gigabytes)
        if "memory" in only:
            results["memory"] = memory(postgres, scratch, arguments.s3_gigabytes)
        text = report(postgres, results, arguments.files)
    finally:
        postgres.stop()
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if not arguments.quick:
        PAGE.write_text(into(PAGE.read_text(), text, list(results)))


if __name__ == "__main__":
    main()
