# GNU tar --listed-incremental | zstd -3 -T0: what an increment costs at least. No encryption, no
# index: the list of names and times is the client's.
ENC=no
list() { echo "$CACHE/names.snar"; }
version() {
  have zstd && echo "$(tar --version | sed -n 1p), $(zstd --version | tr -d '*' | xargs)"
}
init() { :; }
backup() {
  tar -C "$SRC" --sparse --listed-incremental="$(list)" -cf - . \
    | zstd -3 -T0 -q -c > "$REPO/$SEQ.tar.zst"
}
backup_incr() { backup; }
restore() {
  for archive in $(ls "$REPO" | sort -n); do
    zstd -dc -q "$REPO/$archive" | tar -C "$DST" --listed-incremental=/dev/null -xpf -
  done
}
