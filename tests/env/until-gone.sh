#!/usr/bin/env bash
# until-gone.sh PID DIR: waits until that process is gone, then stops the servers whose states are
# in the folders of DIR, and removes it.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
began() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
start=$(began "$1")
while [ -n "$start" ] && [ "$(began "$1")" = "$start" ]; do sleep 1; done
for state in "$2"/*/; do
  name=$(basename "$state") # what stands behind a dash tells servers of one kind apart
  "$here/${name%%-*}.sh" down "${state%/}" >/dev/null 2>&1
done
rm -rf --one-file-system "$2"
