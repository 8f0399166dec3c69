# freezer itself: zstd level 3, AES-256-CFB + HMAC-SHA256. PATH or $FREEZER finds the program, else
# this project's release build.
if [ -z "${FREEZER:-}" ]; then
  FREEZER=$PEERS/../../target/release/freezer; [ -x "$FREEZER" ] || FREEZER=freezer
fi
KEY=$(dirname "$REPO")/passphrase # beside the client's state, which a fresh client does not have
export XDG_CONFIG_HOME=$CACHE/config XDG_CACHE_HOME=$CACHE XDG_DATA_HOME=$CACHE/data
version() { have "$FREEZER" && "$FREEZER" --version; }
init() { (umask 077; printf %s "$PASS" > "$KEY"); }
backup() {
  "$FREEZER" backup "$SRC" -N bench --store "$REPO" --encrypt-pass-file "$KEY" --quiet \
    ${ENGINE:+--engine "$ENGINE"} ${COMPRESSION:+--compression "$COMPRESSION"}
}
backup_incr() { backup; }
mount() {
  exec "$FREEZER" mount bench@latest "$MNT" --store "$REPO" --encrypt-pass-file "$KEY" \
    --foreground ${STATS:+--stats-file "$STATS"}
}
# Whether SIGUSR1 makes a mount write its counts to $STATS.
mount_stats() { "$FREEZER" mount --help | grep -q -- --stats-file; }
restore() {
  "$FREEZER" restore bench --store "$REPO" --encrypt-pass-file "$KEY" --target "$DST" --quiet
}
prune() {
  "$FREEZER" prune bench --keep-last "$KEEP" --yes --store "$REPO" --encrypt-pass-file "$KEY" \
    --quiet
}
search() { "$FREEZER" find bench "$PATTERN" --store "$REPO" --encrypt-pass-file "$KEY" >/dev/null; }
