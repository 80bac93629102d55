// What runs in the sandbox: POSIX sh, for dash, busybox and bash. The Python package has the same
// texts; sdk/sandbox-scripts.json holds both to them.

/** How `mesa` comes into the sandbox. */
export type InstallMethod = 'auto' | 'installer' | 'package' | 'none';

/** What the scripts are about. */
export interface Place {
  /** The server as the sandbox reaches it, without `/v1`. */
  server: string;
  org: string;
  repo: string;
  install: InstallMethod;
  version: string | undefined;
  setupFuse: boolean;
  mountPoint: string | undefined;
  bookmark: string | undefined;
  isolate: boolean;
  readOnly: boolean;
  timeoutMs: number;
}

/** Before the line with the answer of `mesa mount`: others may print before and after it. */
const MARK = '=mesa-mount= ';

/** One word of a shell. */
export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A path of the sandbox; `~/` is its user's home. */
const path = (text: string): string =>
  text.startsWith('~/') ? `"$HOME"/${quoted(text.slice(2))}` : quoted(text);

/** Where installers put programs; login shells and services differ in what they look at. */
const FIND_PROGRAMS =
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's.
  'PATH="$PATH:/usr/local/bin:/usr/bin${HOME:+:$HOME/.local/bin}"; export PATH';

/** Takes variables from the lines of the standard input, up to an empty one. */
const TAKE_VARIABLES =
  'while IFS= read -r variable && [ -n "$variable" ]; do export "$variable"; done';

/** The whole of a script. */
export const script = (text: string, takesVariables: boolean): string =>
  [...(takesVariables ? [TAKE_VARIABLES] : []), FIND_PROGRAMS, text].join('\n');

const OPEN_FUSE = `if [ -e /dev/fuse ]; then chmod 666 /dev/fuse || exit 1; fi
if [ ! -e /etc/fuse.conf ] || ! grep -qx user_allow_other /etc/fuse.conf; then
  echo user_allow_other >>/etc/fuse.conf || exit 1
fi`;

/** `fetch URL FILE`, into a directory that goes with the script. */
const FETCH = `work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fetch() {
  if command -v curl >/dev/null 2>&1; then curl -fsSL --connect-timeout 10 --retry 2 -o "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then wget -q -O "$2" "$1"
  else echo 'neither curl nor wget is in the sandbox' >&2; exit 1; fi ||
    { echo "$1 cannot be fetched" >&2; exit 1; }
}`;

function installer({ server, version, setupFuse }: Place): string {
  const options = [
    ...(setupFuse ? ['--setup-fuse'] : []),
    ...(version === undefined ? [] : ['--version', quoted(version)]),
  ];
  return `${FETCH}
fetch ${quoted(`${server}/install.sh`)} "$work/install.sh"
sh "$work/install.sh" ${['--yes', ...options].join(' ')} </dev/null || exit 1`;
}

function packaged({ server, version, setupFuse }: Place): string {
  const known =
    version === undefined
      ? `fetch ${quoted(`${server}/install.sh`)} "$work/install.sh"
version=$(sed -n "s/^version='\\(.*\\)'$/\\1/p" "$work/install.sh")`
      : `version=${quoted(version)}`;
  return `${FETCH}
${known}
case $(uname -m) in
  x86_64 | amd64) deb=amd64 other=x86_64 ;;
  aarch64 | arm64) deb=arm64 other=aarch64 ;;
  *) echo "there is no package for $(uname -m)" >&2; exit 1 ;;
esac
if command -v apk >/dev/null 2>&1; then name=mesa_"$version"_$other.apk; set -- apk add --allow-untrusted --no-network
elif [ -d /var/lib/dpkg ]; then name=mesa_"$version"_$deb.deb; set -- dpkg -i
elif command -v rpm >/dev/null 2>&1; then name=mesa_"$version"_$other.rpm; set -- rpm -U --replacepkgs
elif command -v dpkg-deb >/dev/null 2>&1; then name=mesa_"$version"_$deb.deb; set -- dpkg-deb -x
else echo 'no package manager is known in the sandbox' >&2; exit 1; fi
fetch ${quoted(`${server}/download/`)}"$name" "$work/$name"
fetch ${quoted(`${server}/download/`)}"$name.sha256" "$work/sum"
read -r wanted rest <"$work/sum"
if command -v sha256sum >/dev/null 2>&1; then found=$(sha256sum "$work/$name")
else found=$(openssl dgst -sha256 -r "$work/$name"); fi
[ "\${found%% *}" = "$wanted" ] || { echo "$name has not the checksum $wanted" >&2; exit 1; }
set -- "$@" "$work/$name"
case $1 in dpkg-deb) set -- "$@" / ;; esac
if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi </dev/null >&2 || exit 1${setupFuse ? `\n${OPEN_FUSE}` : ''}`;
}

/** Installs `mesa`; undefined if there is nothing to do. */
export function install(place: Place): string | undefined {
  const there = 'mesa version >&2';
  switch (place.install) {
    case 'none':
      return place.setupFuse ? OPEN_FUSE : undefined;
    case 'installer':
      return `${installer(place)}\n${there}`;
    case 'package':
      return `${packaged(place)}\n${there}`;
    case 'auto':
      return `if command -v mesa >/dev/null 2>&1; then
${place.setupFuse ? OPEN_FUSE : ':'}
else
${installer(place)}
fi
${there}`;
  }
}

/** A mount that writes elsewhere than wanted must not get this key, and stays as it is. */
const REFUSE_OTHER = `if mesa status -q >/dev/null 2>&1; then
  echo 'something is mounted there already, and may write elsewhere; unmount it first' >&2
  exit 6
fi
`;

/** Mounts; over a live mount it hands over a new key, over a dead one it mounts again. */
export function mount(place: Place, { again = false } = {}): string {
  const { server, org, repo, bookmark, mountPoint, isolate, readOnly } = place;
  const options = [
    ...(mountPoint === undefined ? [] : ['--mount-point', path(mountPoint)]),
    ...(isolate ? ['--isolate'] : []),
    ...(readOnly ? ['--read-only'] : []),
  ];
  const words = [
    `MESA_API_URL=${quoted(server)}`,
    ...(bookmark === undefined
      ? []
      : [`MESA_REPO_REVS=${quoted(`${org}/${repo}=bookmark:${bookmark}`)}`]),
    ...['mesa', 'mount', '-d', '-y', '--json'],
    ...limit(place),
    ...options,
  ];
  return `${(isolate || readOnly) && !again ? REFUSE_OTHER : ''}said=$(${words.join(' ')}) || exit $?
printf '\\n${MARK}%s\\n' "$(printf %s "$said" | tr '\\n' ' ')"`;
}

/** What `mesa mount` answered. */
export interface Mounted {
  mount_point: string;
  already_mounted: boolean;
}

/** Finds the answer of `mesa mount` in what was printed; undefined if it is not there. */
export function mounted(stdout: string): Mounted | undefined {
  const line = stdout
    .split('\n')
    .filter((one) => one.startsWith(MARK))
    .at(-1);
  try {
    const answer = JSON.parse(line?.slice(MARK.length) ?? '');
    return typeof answer.mount_point === 'string' ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** Waits until the repo can be used. A repo that was made a moment ago appears after the mount. */
export const ready = (directory: string, { timeoutMs }: Place): string => `tries=0
until cd ${quoted(directory)} 2>/dev/null && ls -A >/dev/null 2>&1; do
  tries=$((tries + 1))
  if [ "$tries" -ge ${Math.max(2, Math.floor(timeoutMs / 2000))} ]; then mesa status >&2; exit 1; fi
  sleep 1
done`;

/** Lets a mount that was there before go to the bookmark. */
export const edit = (directory: string, bookmark: string): string =>
  `cd ${quoted(directory)} && mesa edit --json -- ${quoted(bookmark)}`;

/** Waits until everything is on the server. */
export const sync = (place: Place): string =>
  `mesa ${['sync', '--json', ...limit(place)].join(' ')}`;

/** Takes the mount away; with force also one that is in use. */
export const unmount = (place: Place, { force }: { force: boolean }): string =>
  `mesa ${['unmount', '--json', ...limit(place), ...(force ? ['--force'] : [])].join(' ')}`;

/** A caller's command, in the repo's directory. */
export const inside = (directory: string, command: string): string =>
  `cd ${quoted(directory)} || exit 1\n${command}`;

/** Before the provider's own time runs out, so that `mesa` can say what it waited for. */
const limit = ({ timeoutMs }: Place): string[] => [
  '--timeout',
  `${Math.max(1, Math.floor(timeoutMs / 1000) - 5)}s`,
];
