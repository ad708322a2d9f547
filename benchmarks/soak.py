"""What sweeps survive: an hour of random kills and damage, and everything that must hold after it.

    python benchmarks/soak.py --minutes 60 --seed 0 [--folder FOLDER]

In each round records are damaged or deleted, and one or two processes sweep three studies into one
store, here, in processes or on Dask (its own, or a scheduler and workers beside it); every fourth
round a command takes a census instead. Meanwhile sweeping processes, workers and schedulers are
killed (SIGKILL, SIGTERM, SIGINT), and workers of Dask stopped for ever. What is left is swept once
more in peace, and compared with what an undisturbed process answered at the beginning.

Prints a line a round and a summary; exit status 1 if anything was wrong. What is chosen depends on
the seed alone, when it happens on the machine. Only processes of sessions that it has begun, and
its own children, are ever signalled. Needs the extra `cluster`; Linux.
"""

import argparse
import contextlib
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from soak_studies import answers, copies, place_of, sweeps

from shallows.lab import Here, Processes, Store, SweepError
from shallows.lab.places import one_thread

PATIENCE = 600  # seconds after which a process that should have ended is said to hang
SCHEDULER = ("-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard")
WORKER = ("-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
CENSUS = "census -d {k} -k {k} --starts 6 --seed 0 --optimiser gd --json --out {out}"


class _Soak:
    """One run: its folder, its chance, what has happened and what was wrong."""

    def __init__(self, folder, seed):
        self.folder, self.chance = folder, random.Random(seed)
        self.did, self.wrong, self.sizes, self.reference = Counter(), [], [], {}
        self.running = {}  # processes that were started in this round, by name
        self.sessions, self.signalled, self.twice = set(), {}, Counter()
        self.file = folder / "scheduler.json"
        # Workers of Dask import the measures by the name of their file.
        paths = (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        # Everybody as workers do, since with more threads XLA sums in another order.
        os.environ.update(one_thread())

    def run(self, minutes):
        sweeps(self.folder / "reference", Here())
        self.reference["sweeps"] = answers(self.folder / "reference")
        until = time.monotonic() + 60 * minutes
        try:
            while time.monotonic() < until:
                self.round()
        finally:  # also if it is interrupted, nobody is left
            self.end_all()
        print("\n".join(["", *(f"{name:20} {n}" for name, n in sorted(self.did.items()))]))
        told = [f"{self.sizes[i] / 2**20:.0f}" for i in (0, len(self.sizes) // 2, -1)]
        print(f"memory of the driver {' '.join(told)} MiB (first round, middle, last)")
        print("\n".join([f"wrong: {len(self.wrong)}", *self.wrong]))
        return 1 if self.wrong else 0

    def round(self):
        self.did["rounds"] += 1
        began, before = time.monotonic(), Counter(self.did)
        is_census = self.did["rounds"] % 4 == 0
        what = self.census() if is_census else self.sweeps()
        told = " ".join(f"{k}={n}" for k, n in (self.did - before).items())
        gc.collect()
        own = psutil.Process()
        self.sizes.append(own.memory_info().rss)
        # A dozen: the first sweep in processes leaves the tracker of `multiprocessing` behind.
        if own.num_fds() > 12:
            self.say_wrong(f"{own.num_fds()} open files")
        print(
            f"round {self.did['rounds']:3} {time.monotonic() - began:4.0f} s  {what}:  {told}  "
            f"({self.sizes[-1] / 2**20:.0f} MiB, {own.num_fds()} files)",
            flush=True,
        )

    def say_wrong(self, what):
        self.wrong.append(f"round {self.did['rounds']}: {what}")
        print(f"WRONG: {what}", flush=True)

    def told(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace").strip()[-3000:]

    # What is done

    def sweeps(self):
        store = self.folder / "store"
        self.damage(store)
        outside = str(self.file)
        kinds = ("here", "processes:2", "processes:2", "local:2", outside, outside)
        places = self.chance.sample(kinds, self.chance.choice((1, 1, 2)))
        if outside in places:
            self.start_cluster()
        names = {f"sweeper-{i}": on for i, on in enumerate(places)}
        for name, on in names.items():
            self.start(name, __file__, "--sweep", str(store), on)
        self.disturb(names)
        self.await_end(names)
        self.end_all()
        try:
            sweeps(store, self.chance.choice((Here(), Processes(2))))
        except (SweepError, ValueError, OSError) as error:
            self.say_wrong(f"the sweep in peace: {error}")
        self.compare(store, is_alone=len(places) == 1)
        return "+".join(Path(on).name for on in places)

    def census(self):
        k, out = self.chance.choice((4, 5)), self.folder / "census"
        on = self.chance.choice((("--workers", "2"), ("--cluster", "local:2")))
        words = ("-m", "shallows", *CENSUS.format(k=k, out=out).split())
        shutil.rmtree(out, ignore_errors=True)
        self.start("census", *words, *on)
        self.disturb({"census": on[1]})
        self.await_end(["census"])
        self.end_all()
        self.start("peace", *words)
        self.await_end(["peace"])
        self.end_all()
        try:
            families = json.loads((self.folder / "peace.out").read_text())["families"]
        except ValueError:
            self.say_wrong(f"no census: {self.told('peace')}")
            families = None
        if families != self.reference.setdefault(k, families):
            self.say_wrong(f"another census: {families} instead of {self.reference[k]}")
        for what in (*Store(out).check(), *out.rglob("*.tmp"), *out.rglob("*.part")):
            self.say_wrong(f"after a census: {what}")
        return f"census of {k} with {on[1]}"

    def start(self, name, *words):
        log, out = (self.folder / f"{name}.{what}" for what in ("log", "out"))
        with log.open("wb") as stderr, out.open("wb") as stdout:
            process = psutil.Popen(
                [sys.executable, *words], stdout=stdout, stderr=stderr, start_new_session=True
            )
        self.running[name] = process
        self.sessions.add(process.pid)

    def start_cluster(self):
        self.file.unlink(missing_ok=True)
        self.start("scheduler", *SCHEDULER, "--scheduler-file", str(self.file))
        until = time.monotonic() + 120
        while not (self.file.exists() and self.file.read_text()) and time.monotonic() < until:
            time.sleep(0.1)
        for number in range(2):
            self.start_worker(f"worker-{number}")

    def start_worker(self, name):
        file = ("--scheduler-file", str(self.file))
        self.start(name, *WORKER, *file, "--death-timeout", "20")

    def damage(self, store):
        """Delete much, so that there is something to do, and truncate or alter a little."""
        share = self.chance.uniform(0.3, 0.9)
        for path in sorted(path for path in store.glob("*/*") if path.is_file()):
            dice, data = self.chance.random(), bytearray(path.read_bytes())
            at, bit = self.chance.randrange(len(data) or 1), self.chance.randrange(8)
            if dice < share:
                path.unlink()
            elif dice < 0.97 or not data:
                continue
            elif dice < 0.985:
                path.write_bytes(data[:at])
            else:
                data[at] ^= 1 << bit
                path.write_bytes(data)
            self.did["deleted" if dice < share else "damaged"] += 1

    def disturb(self, places):
        """A few kills, at random times, of whoever is there; one worker of Dask may be stopped."""
        can_stop = True
        for _ in range(self.chance.randint(1, 4)):
            time.sleep(self.chance.uniform(1, 10))
            name, dice = self.chance.choice(sorted(places)), self.chance.random()
            on = places[name]
            if dice < 0.3 or on == "here":
                how = self.chance.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT))
                self.signal("sweeper", name, self.running[name], how)
            elif dice < 0.4 and "scheduler" in self.running:
                self.signal("scheduler", "scheduler", self.running["scheduler"], signal.SIGKILL)
            else:
                until = time.monotonic() + 60
                while not (workers := self.workers(name, on)) and time.monotonic() < until:
                    if self.running[name].poll() is not None:
                        break
                    time.sleep(0.2)
                stops = can_stop and "processes" not in on and on != "2" and dice > 0.7
                if workers:
                    called, worker = self.chance.choice(workers)
                    how = signal.SIGSTOP if stops else signal.SIGKILL
                    can_stop &= not stops
                    self.signal("worker", called, worker, how)

    def workers(self, name, on):
        """Name and process of who answers for a sweeping process."""
        if on == str(self.file):
            return [(n, p) for n, p in self.running.items() if n.startswith("worker")]
        return [("", p) for p in _below(self.running[name]) if "spawn_main" in _command(p)]

    def signal(self, whom, name, process, how):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if process.status() == psutil.STATUS_ZOMBIE:  # it has ended by itself
                return
            if how == signal.SIGINT:
                os.killpg(process.pid, how)  # as a terminal does
            else:
                process.send_signal(how)
            self.signalled[name] = how
            self.did[f"{whom} {how.name}"] += 1
            if name.startswith("worker") and how == signal.SIGKILL:  # a queue starts another
                process.wait()
                self.start_worker(name)

    # What must hold

    def await_end(self, names):
        until = time.monotonic() + PATIENCE
        for name in names:
            process = self.running[name]
            try:
                status = process.wait(max(1.0, until - time.monotonic()))
            except psutil.TimeoutExpired:
                self.say_wrong(f"{name} hangs: {self.told(name)}")
                continue
            del self.running[name]
            told, how = self.told(name), self.signalled.get(name)
            self.did[f"ended {status}"] += 1
            expected = {0, 130, -how} if how else {0}
            if self.signalled:
                expected.add(1)
            # Ctrl-C while Python still imports is Python's to tell.
            is_python = how == signal.SIGINT and told.endswith("KeyboardInterrupt")
            if status not in expected or ("Traceback" in told and not is_python):
                self.say_wrong(f"{name} ended with {status} ({how}): {told}")
            elif status == 1:
                print(f"  {name} said: {told}")

    def end_all(self):
        """End the cluster, and see whether anybody else is left."""
        for process in self.running.values():
            process.kill()
            process.wait()
        left, until = self.left(), time.monotonic() + 30
        while left and time.monotonic() < until:
            for process in left:  # those that we stopped could not leave
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)
            time.sleep(0.5)
            left = self.left()
        for process in left:
            self.say_wrong(f"left behind: {process.pid} {_command(process)}")
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.running.clear()
        self.sessions.clear()
        self.signalled.clear()

    def left(self):
        """Who lives of the sessions of this round, and below this process."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                is_ours = os.getsid(process.pid) in self.sessions
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        own = _below(psutil.Process())
        return found + [p for p in own if p not in found and "resource_tracker" not in _command(p)]

    def compare(self, store, *, is_alone):
        for what in (*Store(store).check(), *store.rglob("*.tmp")):
            self.say_wrong(f"after the sweep in peace: {what}")
        try:
            found = answers(store)
        except ValueError as error:
            self.say_wrong(f"cannot be read: {error}")
            return
        self.did["records"] += len(found)
        if found != self.reference["sweeps"]:
            differ = {key for key, _ in found.items() ^ self.reference["sweeps"].items()}
            self.say_wrong(f"other answers: {sorted(differ)[:5]}")
        # Two processes that sweep one store may both answer what neither had seen.
        twice = Counter({key: n - 1 for key, n in copies(store).items() if n > 1})
        if is_alone and twice - self.twice:
            self.say_wrong(f"recorded more than once: {twice - self.twice}")
        self.did["recorded twice"] += (twice - self.twice).total()
        self.twice = twice


def _below(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def _command(process):
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="Where to work. [default: a temporary one]")
    parser.add_argument("--sweep", nargs=2, metavar=("STORE", "PLACE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.sweep:
        try:
            sweeps(asked.sweep[0], place_of(asked.sweep[1]))
        except (SweepError, ValueError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        return 0
    # Shells let what they start in the background ignore Ctrl-C, and all that it starts as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = asked.folder or stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).mkdir(parents=True, exist_ok=True)
        return _Soak(Path(folder), asked.seed).run(asked.minutes)


if __name__ == "__main__":
    sys.exit(main())
