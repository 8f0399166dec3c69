#!/usr/bin/env bash
# freezerclient.sh DIR: installs python-freezerclient from PyPI into DIR once, and prints the path
# of its command.
set -euo pipefail
dir=${1:?usage: freezerclient.sh DIR}
version=6.5.0
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if ! [ -e "$dir/$version.installed" ]; then
    python3 -m venv "$dir/venv" >&2
    "$dir/venv/bin/pip" install --quiet --disable-pip-version-check \
      "python-freezerclient==$version" >&2
    touch "$dir/$version.installed"
fi
echo "$dir/venv/bin/freezer"
