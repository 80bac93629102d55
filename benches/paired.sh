#!/usr/bin/env bash
# paired.sh [--rounds N] [--bin MESA] [--base DIR] [--class CLASS] [--keep FILE]
#
# Runs bench.sh natively and in a mount, in turns, in one directory of one disk, and prints the
# ratios with the bars they must meet. It starts a server of its own on loopback and mounts as
# `mesa mount -d` does, and ends both. Root gives passthrough mode and the cold rows.
#
# --rounds  turns (3); the best of each row counts, on both sides
# --bin     program to measure (target/x86_64-unknown-linux-musl/release/mesa; see --help of cargo)
# --base    directory for everything (a new one under the checkout's target directory); delete it after
# --class   durability class (fsync)
# --keep    also write the raw figures there
#
# ONLY, SKIP and COLD reach bench.sh. Between turns everything is sent and the disk is at rest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
rounds=3 bin=$root/target/x86_64-unknown-linux-musl/release/mesa base='' class=fsync keep=''
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;;
    --bin) bin=$2 ;;
    --base) base=$2 ;;
    --class) class=$2 ;;
    --keep) keep=$2 ;;
    *)
      sed -n '2,15s/^# \{0,1\}//p' "$0" >&2
      exit 2
      ;;
  esac
  shift 2
done
[ -x "$bin" ] || {
  echo "no program at $bin: build it with" >&2
  echo "  cargo build --release --locked -p mesa-cli --target x86_64-unknown-linux-musl" >&2
  exit 2
}
if [ -z "$base" ]; then
  mkdir -p "$root/target"
  base=$(mktemp -d "$root/target/paired.XXXXXX")
fi
mkdir -p "$base"/{native,home,mnt,fixtures}
figures=${keep:-$base/figures}
: >"$figures"
export BENCH_TAR=$base/fixtures/tree5k.tar

mesa() {
  env -u MESA_ORG -u MESA_ACCESS_TOKEN -u MESA_STATE_DIR -u MESA_CACHE_PATH -u XDG_CONFIG_HOME \
    HOME="$base/home" MESA_API_URL="$url" MESA_RUNTIME_DIR="$base/home/run" \
    MESA_MOUNT_POINT="$base/mnt" "$bin" "$@"
}
server=''
end() {
  cd /
  [ -z "$server" ] || {
    mesa unmount -q || mesa unmount --force -q || true
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
  }
}
trap end EXIT

port=7300
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
url=http://127.0.0.1:$port
"$bin" serve --data-dir "$base/server" --listen "127.0.0.1:$port" --bootstrap-org bench \
  </dev/null >"$base/server.log" 2>&1 &
server=$!
for _ in $(seq 200); do
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && [ -s "$base/server/admin.key" ] && break
  sleep 0.1
done
key=$(cat "$base/server/admin.key")
MESA_ORGS=bench:$key mesa repo create work --org bench >/dev/null
MESA_ORGS=bench:$key mesa mount -d -y -q --durability "$class"
work=$base/mnt/bench/work
ls "$work" >/dev/null

worker=$(cat "$base/home/run/worker.pid" 2>/dev/null || pgrep -f "$bin daemon work" | head -1)
# Kilobytes of memory and seconds of CPU: worker, server.
memory() { awk '/^VmRSS/{print $2}' "/proc/$1/status"; }
peak() { awk '/^VmHWM/{print $2}' "/proc/$1/status"; }
cpu() { awk '{print ($14+$15)/100}' "/proc/$1/stat"; }

idle=$(memory "$worker")
for round in $(seq "$rounds"); do
  for label in native mount; do
    dir=$base/native
    [ $label = native ] || dir=$work
    mesa sync -q
    sync
    echo "round $round: $label" >&2
    before=("$(cpu "$worker")" "$(cpu "$server")")
    "$here/bench.sh" "$dir" "$label" fast | tee -a "$figures" >&2
    mesa sync -q
    [ $label = native ] ||
      echo "cpu of the worker and the server: $(cpu "$worker") - ${before[0]}, $(cpu "$server") - ${before[1]}" >&2
  done
done
after=$(memory "$worker")
most=$(peak "$worker")
# What nothing needs any more is given back within some seconds.
sleep 15
rest=$(memory "$worker")

python3 "$here/table.py" "$figures" native --bars
printf '\nworker memory in KiB: mounted %s, highest %s, after the last round %s, 15 s later %s\n' \
  "$idle" "$most" "$after" "$rest"
printf 'server memory in KiB: highest %s\n' "$(peak "$server")"
printf 'mode: %s\n' "$(mesa status --json 2>/dev/null | grep -o "\"mode\": *\"[a-z]*\"" | head -1)"
