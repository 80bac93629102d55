#!/bin/sh
# Installs mesa from the server that handed out this script, and from nowhere else:
#
#   curl -fsSL @SERVER@/install.sh | sh
#   curl -fsSL @SERVER@/install.sh | sh -s -- --yes --setup-fuse
#
# The program goes to /usr/local/bin, without root (or sudo without a password) to ~/.local/bin;
# the server's address to install.toml in /etc/mesa or ~/.local/share/mesa. Running it again
# updates. What goes to standard error tells what was done.
set -eu

server='@SERVER@'
version='@VERSION@'

usage() {
  cat <<TEXT
Installs mesa from $server.

Usage: install.sh [OPTIONS]     (curl -fsSL $server/install.sh | sh -s -- OPTIONS)

  -y, --yes        Ask nothing (it never does)
      --version V  Install this version [$version]
      --setup-fuse Let every user mount and share mounts: user_allow_other in /etc/fuse.conf and
                   mode 0666 for /dev/fuse, now and after a restart. Needs root
  -h, --help       Print this
TEXT
}

say() { printf 'mesa: %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: as it is, or by sudo.
as_root() {
  if [ -n "$sudo" ]; then sudo -n "$@"; else "$@"; fi
}

# limited SECONDS COMMAND...: by a command of its own: some busybox crash on `wget -T`.
limited() {
  if have timeout; then timeout "$@"; else shift && "$@"; fi
}

# fetch PATH FILE: a file of the server.
fetch() {
  if have curl; then
    curl -fsSL --connect-timeout 10 --max-time 300 --retry 2 -o "$2" "$server/$1"
  elif have wget; then
    limited 300 wget -q -O "$2" "$server/$1"
  else
    fail "neither curl nor wget is installed" "install one of them"
  fi
}

# answers URL: whether something answers there within five seconds.
answers() {
  if have curl; then
    curl -sI --connect-timeout 5 --max-time 5 -o /dev/null "$1"
  else
    limited 5 wget -q -O /dev/null "$1"
  fi
}

sha256() {
  if have sha256sum; then
    sha256sum "$1" | cut -d' ' -f1
  elif have openssl; then
    openssl dgst -sha256 -r "$1" | cut -d' ' -f1
  else
    fail "nothing here can check a SHA-256 sum" "install coreutils or openssl"
  fi
}

# sum_of NAME: its line of SHA256SUMS.
sum_of() { sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$work/SHA256SUMS"; }

# get NAME FILE: fetches a file and checks it.
get() {
  wanted=$(sum_of "$1")
  [ -n "$wanted" ] || return 1
  fetch "download/$1" "$2" || fail "$server/download/$1 cannot be fetched" "run this again"
  found=$(sha256 "$2")
  [ "$found" = "$wanted" ] || fail "$1 has the checksum $found instead of $wanted; nothing was installed" \
    "run this again; if it stays so, somebody changes the files on their way"
}

# place FILE TARGET MODE: puts a file in its place at once, so that nobody sees half of it and a
# running program goes on with the old one.
place() {
  as_root cp "$1" "$2.new.$$" && as_root chmod "$3" "$2.new.$$" && as_root mv -f "$2.new.$$" "$2" && return
  as_root rm -f "$2.new.$$"
  fail "$2 cannot be written"
}

# Whether the next command like the one that runs this will find the program by its name.
found_by_name() {
  case ":$PATH:" in *":$1:"*) return 0 ;; esac
  # A login shell reads its profile again, and that may name a directory that is new.
  caller=$(tr '\0' '\n' 2>/dev/null <"/proc/$PPID/cmdline" | head -n 2 | tr '\n' ' ')
  case $caller in
    -* | *sh\ -*l*) ;;
    *) return 1 ;;
  esac
  case $caller in
    *bash\ *) env -i HOME="$HOME" bash -lc 'command -v mesa' ;;
    *) env -i HOME="$HOME" sh -lc 'command -v mesa' ;;
  esac >/dev/null 2>&1
}

install_program() {
  case $(uname -m) in
    x86_64 | amd64) arch=x86_64 ;;
    aarch64 | arm64) arch=aarch64 ;;
    *) fail "there is no mesa for the architecture $(uname -m)" ;;
  esac
  name=mesa_${version}_linux_$arch
  wanted=$(sum_of "$name")
  [ -n "$wanted" ] || fail "$server does not hand out mesa $version for $arch" \
    "it has: $(sed -n 's/.*  mesa_\(.*\)_linux_\(.*\)/\1 for \2/p' "$work/SHA256SUMS" | tr '\n' ' ')"
  if [ -f "$bin/mesa" ] && [ "$(sha256 "$bin/mesa")" = "$wanted" ]; then
    say "$bin/mesa is mesa $version already"
    return
  fi
  get "$name" "$work/mesa"
  chmod 755 "$work/mesa"
  as_root mkdir -p "$bin" || fail "the directory $bin cannot be made"
  place "$work/mesa" "$bin/mesa" 755
  "$bin/mesa" version >/dev/null || fail "$bin/mesa does not run on this machine"
  say "installed mesa $version as $bin/mesa"
}

write_address() {
  printf '# The server this was installed from.\napi-url = "%s"\n' "$server" >"$work/install.toml"
  cmp -s "$work/install.toml" "$etc/install.toml" && return
  as_root mkdir -p "$etc" || fail "the directory $etc cannot be made"
  place "$work/install.toml" "$etc/install.toml" 644
  say "wrote $etc/install.toml: the server is $server"
}

# The first mirror of the package manager here.
mirror() {
  if have apt-get; then
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
      sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb *\(\[[^]]*\]\)\{0,1\} *\([^ ]*\).*/\2/p' | head -n 1
  elif have apk; then
    sed -n 's/^\([a-z]*:.*\)/\1/p' /etc/apk/repositories 2>/dev/null | head -n 1
  fi
}

# Runs a command as root for 20 s at most.
briefly() {
  if [ -n "$sudo" ]; then limited 20 sudo -n "$@"; else limited 20 "$@"; fi
}

packaged_fusermount() {
  where=$(mirror)
  case $where in
    http*) answers "$where" || { say "$where does not answer, so fuse3 cannot come from there"; return 1; } ;;
  esac
  if have apt-get; then
    quiet="-q -o Acquire::http::Timeout=5 -o Acquire::https::Timeout=5 -o Acquire::Retries=0"
    # Downloading can be broken off at any time; unpacking can't.
    # shellcheck disable=SC2086
    {
      briefly apt-get $quiet install -y --no-install-recommends --download-only fuse3 ||
        { briefly apt-get $quiet update && briefly apt-get $quiet install -y --no-install-recommends --download-only fuse3; }
    } >"$work/log" 2>&1 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends fuse3 >>"$work/log" 2>&1
  elif have apk; then
    briefly apk add --no-cache fuse3 >"$work/log" 2>&1
  elif have dnf; then
    briefly dnf install -y -q fuse3 >"$work/log" 2>&1
  elif have microdnf; then
    briefly microdnf install -y fuse3 >"$work/log" 2>&1
  else
    say "no package manager is known here"
    return 1
  fi
}

# fusermount3 lets users without privileges mount. Root needs none of it, so that nothing here is
# an error.
install_fuse() {
  if ! have fusermount3 && [ ! -e /usr/bin/fusermount3 ]; then
    if packaged_fusermount && have fusermount3; then
      say "installed the package fuse3"
    elif get "fusermount3_linux_$arch" "$work/fusermount3"; then
      place "$work/fusermount3" /usr/local/bin/fusermount3 4755
      say "installed the server's fusermount3 as /usr/local/bin/fusermount3"
    else
      [ ! -s "$work/log" ] || tail -n 2 "$work/log" >&2
      warn "fusermount3 is not here and could not be installed: only root can mount"
    fi
  fi
  if [ ! -e /etc/fuse.conf ]; then
    printf '# Let users share their mounts with others:\n#user_allow_other\n' >"$work/fuse.conf"
    place "$work/fuse.conf" /etc/fuse.conf 644
    say "wrote /etc/fuse.conf"
  fi
}

setup_fuse() {
  if ! grep -qx 'user_allow_other' /etc/fuse.conf; then
    { grep -vx '#user_allow_other' /etc/fuse.conf || true; echo user_allow_other; } >"$work/fuse.conf"
    place "$work/fuse.conf" /etc/fuse.conf 644
    say "enabled user_allow_other in /etc/fuse.conf"
  fi
  if [ -d /etc/udev/rules.d ] || [ -d /usr/lib/udev/rules.d ]; then
    as_root mkdir -p /etc/udev/rules.d
    echo 'KERNEL=="fuse", MODE="0666"' >"$work/rule"
    place "$work/rule" /etc/udev/rules.d/99-mesa-fuse.rules 644
  fi
  if [ -d /usr/lib/tmpfiles.d ]; then
    as_root mkdir -p /etc/tmpfiles.d
    echo 'z /dev/fuse 0666 - - -' >"$work/tmpfile"
    place "$work/tmpfile" /etc/tmpfiles.d/mesa-fuse.conf 644
  fi
  if [ -e /dev/fuse ]; then
    if as_root chmod 666 /dev/fuse; then
      say "made /dev/fuse usable for everybody"
    else
      warn "the mode of /dev/fuse cannot be changed here"
    fi
  else
    warn "/dev/fuse is not here: the kernel's module fuse, or the container's device, is missing"
  fi
}

main() {
  setup=
  while [ $# -gt 0 ]; do
    case $1 in
      -y | --yes) ;;
      --version)
        [ $# -gt 1 ] || fail "--version needs a value"
        shift
        version=${1#v}
        ;;
      --version=*) version=${1#--version=} ;;
      --setup-fuse) setup=yes ;;
      -h | --help) usage && exit 0 ;;
      *) fail "unknown option '$1'" "see --help" ;;
    esac
    shift
  done
  case $version in *[!0-9A-Za-z.+-]* | '') fail "'$version' is no version" ;; esac
  [ "$(uname -s)" = Linux ] || fail "mesa runs on Linux only"

  sudo=
  if [ "$(id -u)" = 0 ]; then
    root=yes
  elif have sudo && sudo -n true 2>/dev/null; then
    root=yes sudo=yes
  else
    root=
  fi
  if [ -n "$root" ]; then
    bin=/usr/local/bin etc=/etc/mesa
  else
    [ -n "${HOME:-}" ] || fail "there is no HOME to install to" "set HOME, or run this as root"
    bin=$HOME/.local/bin etc=$HOME/.local/share/mesa
  fi

  work=$(mktemp -d) || fail "no temporary directory can be made" "set TMPDIR"
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  fetch download/SHA256SUMS "$work/SHA256SUMS" ||
    fail "$server does not answer" "is it reachable from here? try: curl -v $server/healthz"
  install_program
  write_address
  if [ -n "$root" ]; then
    install_fuse
    [ -z "$setup" ] || setup_fuse
  elif [ -n "$setup" ]; then
    fail "--setup-fuse needs root" "run this as root"
  fi
  found_by_name "$bin" || fail "mesa is in $bin, which is not in PATH" \
    "add it for the commands to come: export PATH=\"$bin:\$PATH\""
  say "next: MESA_ORGS=<org>:<key> mesa mount -d -y"
}

# At the end, so that half a script does nothing.
main "$@"
