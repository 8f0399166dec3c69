# Sourced before every adapter. The runner sets:
#   SRC   folder to back up           REPO  folder for what is stored      CACHE  the tool's
#         client-side state
#   NAME  name of this snapshot       MNT   empty folder to mount on       DST    empty folder to
#         restore into
#   PASS  passphrase                  SEQ   0 for the full backup, then 1, 2, ...
#   MOUNT_ALL  1: the mount must show every snapshot (workload snaps)
#   STATS  file for the mount's request counts ("": do not count)    COMPRESSION  codec in place of
#          the usual one
#   PATTERN  a shell pattern that names are searched for
# An adapter defines: version (prints one line; fails when the tool is missing), init, backup, and
# what it can of backup_incr, mount (stays in the foreground: end with exec), mount_stats (succeeds
# if the mount can count: SIGUSR1 then writes {"answered": n} to $STATS), umount, restore, search
# (names in all snapshots); and mount_root, which prints where in $MNT the tree of snapshot $NAME
# begins. Its variable ENC says whether what is stored is encrypted.
ENC=yes
umount() { fusermount3 -u "$MNT" || fusermount -u "$MNT"; }
mount_root() { echo "$MNT"; }
have() { command -v "$1" >/dev/null; }
