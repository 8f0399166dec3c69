#!/usr/bin/env bash
# freezer-original.sh PACKAGE DIR: installs freezer (agent and scheduler) or freezer-api from PyPI
# into DIR once, and prints the folder of its commands.
set -euo pipefail
package=${1:?usage: freezer-original.sh PACKAGE DIR}
dir=${2:?usage: freezer-original.sh PACKAGE DIR}
version=19.0.0
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
if ! [ -e "$dir/$package-$version.installed" ]; then
    python3 -m venv "$dir/$package" >&2
    # uwsgi and the like are not needed; setuptools has pkg_resources, which some of its libraries
    # still use.
    "$dir/$package/bin/pip" install --quiet --disable-pip-version-check "$package==$version" \
      'setuptools<81' >&2
    touch "$dir/$package-$version.installed"
fi
echo "$dir/$package/bin"
