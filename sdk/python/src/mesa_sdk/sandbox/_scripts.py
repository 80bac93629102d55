"""What runs in the sandbox: POSIX sh, for dash, busybox and bash.

The TypeScript package has the same texts; `sdk/sandbox-scripts.json` holds both to them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

#: How `mesa` comes into the sandbox.
InstallMethod = Literal["auto", "installer", "package", "none"]

#: Before the line with the answer of `mesa mount`: others may print before and after it.
_MARK = "=mesa-mount= "


@dataclass(frozen=True, kw_only=True)
class Place:
    """What the scripts are about."""

    #: The server as the sandbox reaches it, without `/v1`.
    server: str
    org: str
    repo: str
    install: InstallMethod = "auto"
    version: str | None = None
    setup_fuse: bool = False
    mount_point: str | None = None
    bookmark: str | None = None
    isolate: bool = False
    read_only: bool = False
    timeout: float = 120.0


def quoted(text: str) -> str:
    """One word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _path(text: str) -> str:
    """A path of the sandbox; `~/` is its user's home."""
    return f'"$HOME"/{quoted(text[2:])}' if text.startswith("~/") else quoted(text)


#: Where installers put programs; login shells and services differ in what they look at.
_FIND_PROGRAMS = 'PATH="$PATH:/usr/local/bin:/usr/bin${HOME:+:$HOME/.local/bin}"; export PATH'

#: Takes variables from the lines of the standard input, up to an empty one.
_TAKE_VARIABLES = 'while IFS= read -r variable && [ -n "$variable" ]; do export "$variable"; done'


def script(text: str, *, takes_variables: bool) -> str:
    """The whole of a script."""
    return "\n".join([*([_TAKE_VARIABLES] if takes_variables else []), _FIND_PROGRAMS, text])


_OPEN_FUSE = """if [ -e /dev/fuse ]; then chmod 666 /dev/fuse || exit 1; fi
if [ ! -e /etc/fuse.conf ] || ! grep -qx user_allow_other /etc/fuse.conf; then
  echo user_allow_other >>/etc/fuse.conf || exit 1
fi"""

#: `fetch URL FILE`, into a directory that goes with the script.
_FETCH = """work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fetch() {
  if command -v curl >/dev/null 2>&1; then curl -fsSL --connect-timeout 10 --retry 2 -o "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then wget -q -O "$2" "$1"
  else echo 'neither curl nor wget is in the sandbox' >&2; exit 1; fi ||
    { echo "$1 cannot be fetched" >&2; exit 1; }
}"""


def _installer(place: Place) -> str:
    options = ["--yes"]
    if place.setup_fuse:
        options.append("--setup-fuse")
    if place.version is not None:
        options += ["--version", quoted(place.version)]
    return f"""{_FETCH}
fetch {quoted(place.server + "/install.sh")} "$work/install.sh"
sh "$work/install.sh" {" ".join(options)} </dev/null || exit 1"""


#: Sets `name` to the package, and the words to what installs it.
_CHOOSE = """case $(uname -m) in
  x86_64 | amd64) deb=amd64 other=x86_64 ;;
  aarch64 | arm64) deb=arm64 other=aarch64 ;;
  *) echo "there is no package for $(uname -m)" >&2; exit 1 ;;
esac
if command -v apk >/dev/null 2>&1; then name=mesa_"$version"_$other.apk; set -- apk add --allow-untrusted --no-network
elif [ -d /var/lib/dpkg ]; then name=mesa_"$version"_$deb.deb; set -- dpkg -i
elif command -v rpm >/dev/null 2>&1; then name=mesa_"$version"_$other.rpm; set -- rpm -U --replacepkgs
elif command -v dpkg-deb >/dev/null 2>&1; then name=mesa_"$version"_$deb.deb; set -- dpkg-deb -x
else echo 'no package manager is known in the sandbox' >&2; exit 1; fi"""  # noqa: E501

_UNPACK = """read -r wanted rest <"$work/sum"
if command -v sha256sum >/dev/null 2>&1; then found=$(sha256sum "$work/$name")
else found=$(openssl dgst -sha256 -r "$work/$name"); fi
[ "${found%% *}" = "$wanted" ] || { echo "$name has not the checksum $wanted" >&2; exit 1; }
set -- "$@" "$work/$name"
case $1 in dpkg-deb) set -- "$@" / ;; esac
if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi </dev/null >&2 || exit 1"""


def _packaged(place: Place) -> str:
    if place.version is None:
        known = f"""fetch {quoted(place.server + "/install.sh")} "$work/install.sh"
version=$(sed -n "s/^version='\\(.*\\)'$/\\1/p" "$work/install.sh")"""
    else:
        known = f"version={quoted(place.version)}"
    download = quoted(f"{place.server}/download/")
    setup = f"\n{_OPEN_FUSE}" if place.setup_fuse else ""
    return f"""{_FETCH}
{known}
{_CHOOSE}
fetch {download}"$name" "$work/$name"
fetch {download}"$name.sha256" "$work/sum"
{_UNPACK}{setup}"""


def install(place: Place) -> str | None:
    """Installs `mesa`; None if there is nothing to do."""
    there = "mesa version >&2"
    if place.install == "none":
        return _OPEN_FUSE if place.setup_fuse else None
    if place.install == "installer":
        return f"{_installer(place)}\n{there}"
    if place.install == "package":
        return f"{_packaged(place)}\n{there}"
    return f"""if command -v mesa >/dev/null 2>&1; then
{_OPEN_FUSE if place.setup_fuse else ":"}
else
{_installer(place)}
fi
{there}"""


#: A mount that writes elsewhere than wanted must not get this key, and stays as it is.
_REFUSE_OTHER = """if mesa status -q >/dev/null 2>&1; then
  echo 'something is mounted there already, and may write elsewhere; unmount it first' >&2
  exit 6
fi
"""


def mount(place: Place, *, again: bool = False) -> str:
    """Mounts; over a live mount it hands over a new key, over a dead one it mounts again."""
    words = [f"MESA_API_URL={quoted(place.server)}"]
    if place.bookmark is not None:
        rev = f"{place.org}/{place.repo}=bookmark:{place.bookmark}"
        words.append(f"MESA_REPO_REVS={quoted(rev)}")
    words += ["mesa", "mount", "-d", "-y", "--json", *_limit(place)]
    if place.mount_point is not None:
        words += ["--mount-point", _path(place.mount_point)]
    if place.isolate:
        words.append("--isolate")
    if place.read_only:
        words.append("--read-only")
    refuse = _REFUSE_OTHER if (place.isolate or place.read_only) and not again else ""
    return f"""{refuse}said=$({" ".join(words)}) || exit $?
printf '\\n{_MARK}%s\\n' "$(printf %s "$said" | tr '\\n' ' ')\""""


@dataclass(frozen=True)
class Mounted:
    """What `mesa mount` answered."""

    mount_point: str
    already_mounted: bool


def mounted(stdout: str) -> Mounted | None:
    """Finds the answer of `mesa mount` in what was printed; None if it is not there."""
    lines = [line for line in stdout.split("\n") if line.startswith(_MARK)]
    try:
        answer: Any = json.loads(lines[-1].removeprefix(_MARK))
        point = answer["mount_point"]
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    if not isinstance(point, str):
        return None
    return Mounted(point, bool(answer.get("already_mounted")))


def ready(directory: str, place: Place) -> str:
    """Waits until the repo can be used. One that was made a moment ago appears after the mount."""
    return f"""tries=0
until cd {quoted(directory)} 2>/dev/null && ls -A >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge {max(2, math.floor(place.timeout / 2))} ]; then mesa status >&2; exit 1; fi
  sleep 1
done"""


def edit(directory: str, bookmark: str) -> str:
    """Lets a mount that was there before go to the bookmark."""
    return f"cd {quoted(directory)} && mesa edit --json -- {quoted(bookmark)}"


def sync(place: Place) -> str:
    """Waits until everything is on the server."""
    return " ".join(["mesa sync --json", *_limit(place)])


def unmount(place: Place, *, force: bool) -> str:
    """Takes the mount away; with force also one that is in use."""
    return " ".join(["mesa unmount --json", *_limit(place), *(["--force"] if force else [])])


def inside(directory: str, command: str) -> str:
    """A caller's command, in the repo's directory."""
    return f"cd {quoted(directory)} || exit 1\n{command}"


def _limit(place: Place) -> list[str]:
    """Before the provider's own time runs out, so that `mesa` can say what it waited for."""
    return ["--timeout", f"{max(1, math.floor(place.timeout) - 5)}s"]
