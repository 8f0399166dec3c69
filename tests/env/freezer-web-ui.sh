#!/usr/bin/env bash
# freezer-web-ui.sh DIR: installs freezer-web-ui from PyPI into DIR once, with what the module needs
# that its pages call, and prints the
# Python that has it. Horizon comes without what its own pages need.
set -euo pipefail
dir=${1:?usage: freezer-web-ui.sh DIR}
version=19.0.0
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if ! [ -e "$dir/$version.installed" ]; then
    python3 -m venv "$dir/venv" >&2
    pip=("$dir/venv/bin/pip" install --quiet --disable-pip-version-check)
    "${pip[@]}" "python-freezerclient==6.5.0" "Django<5" oslo.log >&2
    "${pip[@]}" --no-deps "freezer-web-ui==$version" "horizon==27.0.0" >&2
    touch "$dir/$version.installed"
fi
echo "$dir/venv/bin/python"
