#!/usr/bin/env python3
"""hive beside Terraform, in one run: plan without changes and apply, time and peak memory.

    benches/run.py            all sizes, writes docs/benchmarks.md
    benches/run.py --quick    100 and 1,000 only, prints and writes nothing

Both tools get the same work: N objects that are nothing but a few fields. hive has a file for
each (`config`) and syncs its journal; Terraform has `terraform_data`, which is no object at all
outside of its state. Ratios are within this run; nothing is extrapolated.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HIVE = ROOT / "target" / "release" / "hive"
HIVE_SIZES = [100, 1_000, 10_000]
TERRAFORM_SIZES = [100, 1_000, 2_000]


def run(command, folder, expect=(0,)):
    """Seconds and peak memory in MB of one command."""
    before = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "CHECKPOINT_DISABLE": "1", "NO_COLOR": "1"},
    )
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expect:
        sys.exit(f"{command}: exit {process.returncode}\n{errors.decode()[-2000:]}")
    return seconds, usage.ru_maxrss / 1024


def best(command, folder, times=3, expect=(0,)):
    """The median seconds and the largest memory of a few runs."""
    runs = [run(command, folder, expect) for _ in range(times)]
    return statistics.median(it[0] for it in runs), max(it[1] for it in runs)


def hive(size, scratch):
    folder = scratch / f"hive-{size}"
    folder.mkdir()
    lines = ['[stack]\nname = "bench"\n']
    lines += [f'[config.c{n}]\ncontent = "value {n}\\n"\n' for n in range(size)]
    (folder / "stack.toml").write_text("\n".join(lines))
    apply = run([HIVE, "apply", "-y", "-q"], folder)
    plan = best([HIVE, "plan", "--exit-code"], folder)
    text = (folder / "stack.toml").read_text().replace("value 7\\n", "other\\n")
    (folder / "stack.toml").write_text(text)
    one = run([HIVE, "apply", "-y", "-q"], folder)
    return {"apply": apply, "plan": plan, "one": one}


def terraform(size, scratch):
    folder = scratch / f"terraform-{size}"
    folder.mkdir()
    text = "\n".join(
        f'resource "terraform_data" "c{n}" {{\n  input = "value {n}"\n}}' for n in range(size)
    )
    (folder / "main.tf").write_text(text)
    run(["terraform", "init", "-no-color"], folder)
    apply = run(["terraform", "apply", "-auto-approve", "-no-color"], folder)
    plan = best(["terraform", "plan", "-detailed-exitcode", "-no-color"], folder, times=1)
    (folder / "main.tf").write_text(text.replace('"value 7"', '"other"'))
    one = run(["terraform", "apply", "-auto-approve", "-no-color"], folder)
    return {"apply": apply, "plan": plan, "one": one}


def engine():
    """Engine time for a step, from the Rust benchmark: one JSON line a size."""
    command = ["cargo", "bench", "--quiet", "--bench", "engine"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr[-3000:])
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def version_time():
    times = [run([HIVE, "--version"], ROOT)[0] for _ in range(21)]
    return statistics.median(times) * 1000


def cell(seconds_and_mb):
    seconds, mb = seconds_and_mb
    return f"{seconds:.2f} s, {mb:.0f} MB"


def table(hives, terraforms):
    rows = ["| resources | what | hive | Terraform | Terraform / hive |", "|---|---|---|---|---|"]
    words = {"plan": "plan without changes", "apply": "first apply", "one": "apply of one change"}
    for size in sorted({*hives, *terraforms}):
        for key, word in words.items():
            mine = hives.get(size, {}).get(key)
            peer = terraforms.get(size, {}).get(key)
            ratio = f"{peer[0] / mine[0]:.1f} ×" if mine and peer else "–"
            rows.append(
                f"| {size:,} | {word} | {cell(mine) if mine else '–'} "
                f"| {cell(peer) if peer else '–'} | {ratio} |"
            )
    return "\n".join(rows)


def report(hives, terraforms, engines, version):
    peer = subprocess.run(["terraform", "version"], capture_output=True, text=True).stdout
    lines = [
        "# Benchmarks",
        "",
        "Written by `benches/run.py`; both tools in one run on one machine "
        f"({os.cpu_count()} cores, {platform.system()} {platform.machine()}). "
        f"Peer: {peer.splitlines()[0]}, `terraform_data`, no provider calls. "
        "hive writes and syncs one file for each resource, and its journal. "
        "Medians of 3 where a command changes nothing, else one run; memory is the peak.",
        "",
        table(hives, terraforms),
        "",
        "## Engine time for a step",
        "Plan given, in-memory world whose effects cost nothing; the journal in memory, or in a "
        "folder with every group synced.",
        "",
        "| steps | journal | for a step | of it |",
        "|---|---|---|---|",
    ]
    for it in engines:
        lines.append(
            f"| {it['steps']:,} | {it['journal']} | {it['micros_per_step']:.0f} µs "
            f"| {it['syncs']:,} synced groups |"
        )
    if 10_000 in hives:
        seconds, mb = hives[10_000]["plan"]
        lines += [
            "",
            "## Against the goals",
            "| what | goal | measured |",
            "|---|---|---|",
            f"| plan without changes, 10,000 resources, time | under 1 s | {seconds:.2f} s |",
            f"| the same, memory | under 100 MB | {mb:.0f} MB |",
            "| engine time for a step, journal synced | under 1 ms, the same at 100 and at 100,000 "
            "| see above |",
        ]
    lines += ["", f"`hive --version`: {version:.1f} ms (median of 21, goal: under 10 ms).", ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-terraform", action="store_true")
    arguments = parser.parse_args()
    build = ["cargo", "build", "--release", "--locked", "--bins"]
    subprocess.run(build, cwd=ROOT, check=True)
    limit = 1_000 if arguments.quick else 10**9
    scratch = Path(tempfile.mkdtemp(prefix="hive-bench-"))
    hives, terraforms = {}, {}
    try:
        for size in [it for it in HIVE_SIZES + [2_000] if it <= limit]:
            hives[size] = hive(size, scratch)
            print(size, "hive", {key: cell(it) for key, it in hives[size].items()}, flush=True)
        for size in [it for it in TERRAFORM_SIZES if it <= limit and not arguments.no_terraform]:
            terraforms[size] = terraform(size, scratch)
            print(size, "tf", {key: cell(it) for key, it in terraforms[size].items()}, flush=True)
        text = report(hives, terraforms, engine(), version_time())
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(text)
    if not arguments.quick and not arguments.no_terraform:
        page = ROOT / "docs" / "benchmarks.md"
        # What benches/data.py wrote stays.
        _, mark, data = page.read_text().partition("<!-- data:") if page.exists() else ("", "", "")
        page.write_text(text + (f"\n{mark}{data}" if mark else ""))


if __name__ == "__main__":
    main()
