#!/usr/bin/env python3
"""A virtual machine that mounts, works, and is killed, with everything its kernel held.

    crates/mesa-e2e/microvm/run.py [--rounds N] [--seed S] [--accel kvm] [--kernel vmlinuz --modules DIR]

The machine runs Debian's cloud kernel in QEMU and reports on
its serial line each file whose fsync returned. In every round it is killed with SIGKILL after some
reports, and the server is asked for what was reported; then it starts again from its disk. In the
last round it is paused for longer than its lease lasts, while another machine writes, and goes on.
Exit status 0 = everything reported was there, whole, each time.

Needs: root, qemu-system-x86_64, busybox (static), mkfs.ext4, and the static program
(`cargo build --release -p mesa-cli --target x86_64-unknown-linux-musl`, or MESA_BIN).
"""

import argparse
import json
import os
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STATIC = ROOT / "target/x86_64-unknown-linux-musl/release/mesa"
# In the order of loading; what a kernel has built in is left out.
MODULES = [
    "failover", "net_failover", "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev",
    "virtio_pci", "virtio_net", "virtio_blk", "crc32c_generic", "libcrc32c", "mbcache", "jbd2", "ext4", "fuse",
]


def need(condition: object, message: str) -> None:
    if not condition:
        sys.exit(f"error: {message}")


def run(*command: object, **options) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    need(done.returncode == 0, f"{command[0]}: {done.stderr}")
    return done.stdout


def debian_kernel(place: Path) -> tuple[Path, Path]:
    """Debian's cloud kernel, unpacked and not installed."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64")
    package = next(line.split(":")[1].strip() for line in depends.splitlines() if "Depends:" in line)
    run("apt-get", "download", "-q", package, cwd=place)
    run("dpkg", "-x", next(place.glob("linux-image*.deb")), place / "kernel")
    return next((place / "kernel/boot").glob("vmlinuz-*")), place / "kernel/lib/modules"


def initramfs(place: Path, mesa: Path, modules: Path) -> Path:
    root = place / "initramfs"
    (root / "bin").mkdir(parents=True)
    (root / "modules").mkdir()
    busybox = shutil.which("busybox")
    need(busybox, "busybox is missing: install busybox-static")
    shutil.copy(str(busybox), root / "bin/busybox")
    shutil.copy(mesa, root / "bin/mesa")
    shutil.copy(HERE / "init", root / "init")
    (root / "init").chmod(0o755)
    (root / "bin/mesa").chmod(0o755)
    found = {path.name.split(".")[0]: path for path in modules.rglob("*.ko*")}
    order = []
    for name in MODULES:
        if name in found:
            path = found[name]
            need(path.suffix == ".ko", f"{path} is compressed: unpack it first")
            shutil.copy(path, root / "modules")
            order.append(path.name)
    (root / "modules/order").write_text("\n".join(order) + "\n")
    image = place / "initramfs.cpio"
    script = f"find . | cpio --quiet -o -H newc > {image}"
    if not shutil.which("cpio"):
        script = f"find . | {busybox} cpio -o -H newc > {image} 2>/dev/null"
    run("sh", "-c", script, cwd=root)
    return image


class Server:
    def __init__(self, place: Path, mesa: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = place / "server"
        self.log = (place / "server.log").open("w")
        command = [str(mesa), "serve", "--data-dir", str(self.data), "--listen", f"127.0.0.1:{self.port}"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while self.get("/readyz")[0] != 200:
            need(time.monotonic() < deadline, "the server does not come up")
            time.sleep(0.1)
        self.admin = (self.data / "admin.key").read_text().strip()

    def call(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        if hasattr(self, "admin"):
            request.add_header("authorization", f"Bearer {self.admin}")
        request.add_header("accept", "application/octet-stream" if "/content" in path else "*/*")
        data = None
        if body is not None:
            request.add_header("content-type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def get(self, path: str) -> tuple[int, bytes]:
        return self.call("GET", path)

    def content(self, path: str, at: str = "main") -> tuple[int, bytes]:
        return self.get(f"/v1/my-org/work/content?path={path}&change_id={at}")

    def bookmarks(self) -> list[str]:
        answer = json.loads(self.get("/v1/my-org/work/bookmarks")[1])
        return [b["name"] for b in answer["bookmarks"]]


class Machine:
    """One life of the virtual machine."""

    def __init__(self, kernel: Path, image: Path, disk: Path, words: dict[str, object], accelerator: str) -> None:
        line = " ".join(["console=ttyS0", "quiet", "panic=-1", *(f"mesa_{k}={v}" for k, v in words.items())])
        command = [
            "qemu-system-x86_64", "-accel", accelerator, "-m", "768", "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none",
            "-kernel", str(kernel), "-initrd", str(image), "-append", line, "-serial", "stdio",
            "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n",
            "-drive", f"file={disk},if=virtio,format=raw,cache=writeback",
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
        self.lines: list[str] = []
        self.queue: queue.Queue[str | None] = queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()

    def read_until(self, wanted) -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                line = self.queue.get(timeout=1)
            except queue.Empty:
                continue
            if line is None:
                sys.exit("error: the machine ended by itself:\n" + "\n".join(self.lines[-40:]))
            self.lines.append(line)
            if "FAILED" in line or "Kernel panic" in line:
                print(line, file=sys.stderr)
            if wanted(line):
                return
        sys.exit("error: the machine says nothing more:\n" + "\n".join(self.lines[-40:]))

    def listen(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            # A line that was cut off by the kill says nothing.
            if line.endswith("\n"):
                self.queue.put(line.strip())
        self.queue.put(None)

    def acks(self) -> dict[int, int]:
        """Number -> lines, of everything reported."""
        words = [line.split() for line in self.lines if line.startswith("ACK ")]
        return {int(w[1]): int(w[2]) for w in words if len(w) == 3}

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.listener.join()
        # What was said before the kill counts.
        while (line := self.queue.get()) is not None:
            self.lines.append(line)


def expected(number: int, lines: int) -> bytes:
    return f"file {number}\n".encode() * lines


def check(server: Server, acks: dict[int, int]) -> None:
    for number, lines in acks.items():
        places = ["main", *(b for b in server.bookmarks() if b.startswith("recovered/"))]
        answers = [server.content(f"ack-{number}", at) for at in places]
        good = any(answer == (200, expected(number, lines)) for answer in answers)
        need(good, f"ack-{number} of {lines} lines was reported and is not there: {[(s, len(b)) for s, b in answers]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kernel", type=Path)
    parser.add_argument("--modules", type=Path)
    parser.add_argument("--accel", default="tcg", help="kvm is faster where it works")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    need(shutil.which("qemu-system-x86_64"), "qemu-system-x86_64 is missing: install qemu-system-x86")
    mesa = Path(os.environ.get("MESA_BIN", STATIC))
    need(mesa.is_file(), f"{mesa} is missing: build it for x86_64-unknown-linux-musl, or set MESA_BIN")
    place = Path(tempfile.mkdtemp(prefix="mesa-microvm-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("error: terminated"))
    server = machine = None
    try:
        if options.kernel:
            kernel, modules = options.kernel, options.modules
        else:
            kernel, modules = debian_kernel(place)
        image = initramfs(place, mesa, modules)
        disk = place / "disk"
        with disk.open("w") as file:
            file.truncate(2 << 30)
        run("mkfs.ext4", "-q", disk)
        server = Server(place, mesa)
        need(server.call("POST", "/v1/my-org/repos", {"name": "work"})[0] == 201, "no repo was made")
        key = json.loads(server.call("POST", "/v1/my-org/api-keys", {})[1])["key"]
        words = {"server": f"http://10.0.2.2:{server.port}", "key": key, "first": 0}
        acks: dict[int, int] = {}
        for number in range(options.rounds):
            machine = Machine(kernel, image, disk, words, options.accel)
            wanted = 5 + dice.randrange(60)
            life = machine
            life.read_until(lambda line: line.startswith("ACK ") and len(life.acks()) >= wanted)
            last = number == options.rounds - 1
            if last:
                paused(server, place, mesa, key, life)
            else:
                time.sleep(dice.random())
            life.kill()
            acks |= life.acks()
            check(server, acks)
            words["first"] = max(acks) + 1000
            print(f"round {number}: {'paused, resumed, ' if last else ''}killed, {len(acks)} reported files are there", flush=True)
    finally:
        if machine and machine.process.poll() is None:
            machine.process.kill()
        if server:
            server.process.terminate()
            server.process.wait()
        shutil.rmtree(place, ignore_errors=True)


def paused(server: Server, place: Path, mesa: Path, key: str, machine: Machine) -> None:
    """Stands still for longer than a lease lasts, while another machine takes the repo."""
    machine.process.send_signal(signal.SIGSTOP)
    home = place / "other"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "MESA_RUNTIME_DIR": str(home / "run"),
        "MESA_API_URL": f"http://127.0.0.1:{server.port}", "MESA_ORGS": f"my-org:{key}",
    }
    try:
        run(mesa, "mount", "-d", "-y", env=environment)
        repo = home / ".local/share/mesa/mnt/my-org/work"
        (repo / "from-outside").write_text("taken\n")
        run(mesa, "sync", env=environment)
        time.sleep(15)
        before = len(machine.acks())
        machine.process.send_signal(signal.SIGCONT)
        machine.read_until(lambda line: line.startswith("ACK ") and len(machine.acks()) >= before + 20)
    finally:
        machine.process.send_signal(signal.SIGCONT)
        subprocess.run([str(mesa), "unmount", "--force"], env=environment, check=False)
    need(server.content("from-outside") == (200, b"taken\n"), "the other machine's file is gone")


if __name__ == "__main__":
    main()
