#!/usr/bin/env bash
# WebDAV by Apache on loopback, with a user and a password.   WEBDAV_PORT=15080
FZ_SCRIPT=webdav
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
WEBDAV_PORT=${WEBDAV_PORT:-15080}
do_deps() { apt_need apache2-bin openssl curl procps; }
do_up() {
  do_deps
  if running webdav && [ -f "$DIR/settings.env" ]; then say "already up"; show_env; return; fi
  stop_all; port_free "$WEBDAV_PORT"
  # The same again where it was killed.
  local password user=
  password=$(sed -n s/^WEBDAV_PASSWORD=//p "$DIR/settings.env" 2>/dev/null || true)
  [ -n "$password" ] || password=$(openssl rand -hex 12)
  mkdir -p "$DIR/data/files"
  (umask 077; printf 'fz:%s\n' "$(openssl passwd -apr1 "$password")" >"$DIR/etc/users")
  if [ "$(id -u)" = 0 ]; then
    user=$'User www-data\nGroup www-data'
    chown -R www-data "$DIR/data" "$DIR/etc/users" "$DIR/run"; chmod 755 "$DIR" "$DIR/etc"
  fi
  local modules=/usr/lib/apache2/modules
  cat >"$DIR/etc/httpd.conf" <<C
ServerRoot $DIR
ServerName $FZ_HOST
Listen $FZ_HOST:$WEBDAV_PORT
PidFile $DIR/run/httpd.pid
ErrorLog $DIR/log/error.log
DefaultRuntimeDir $DIR/run
Mutex file:$DIR/run default
$user
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authn_core_module $modules/mod_authn_core.so
LoadModule authn_file_module $modules/mod_authn_file.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule authz_user_module $modules/mod_authz_user.so
LoadModule auth_basic_module $modules/mod_auth_basic.so
LoadModule dav_module $modules/mod_dav.so
LoadModule dav_fs_module $modules/mod_dav_fs.so
DavLockDB $DIR/data/locks
DocumentRoot $DIR/data/files
KeepAlive On
MaxKeepAliveRequests 0
LimitXMLRequestBody 0
# Read from memory, a file that was replaced by a shorter one ends in zeros, or kills the process
# that reads it.
EnableMMAP Off
<Directory $DIR/data/files>
  Dav On
  AuthType Basic
  AuthName freezer
  AuthBasicProvider file
  AuthUserFile $DIR/etc/users
  Require valid-user
</Directory>
C
  start webdav /usr/sbin/apache2 -D FOREGROUND -f "$DIR/etc/httpd.conf"
  wait_port webdav "$WEBDAV_PORT"
  printf 'WEBDAV_HOST=%s\nWEBDAV_PORT=%s\nWEBDAV_USERNAME=fz\nWEBDAV_PASSWORD=%s\n' "$FZ_HOST" \
    "$WEBDAV_PORT" "$password" | settings
  show_env
}
do_prove() { # a file is put and read, and nobody gets in without the password
  . "$DIR/settings.env"
  local url=http://$WEBDAV_HOST:$WEBDAV_PORT
  [ "$(curl -s -o /dev/null -w '%{http_code}' "$url/")" = 401 ] || die "it lets anybody in"
  printf hello | curl -sf -u "$WEBDAV_USERNAME:$WEBDAV_PASSWORD" -T - "$url/prove" >/dev/null
  [ "$(curl -sf -u "$WEBDAV_USERNAME:$WEBDAV_PASSWORD" "$url/prove")" = hello ] \
    || die "what was put is not what is there"
  curl -sf -u "$WEBDAV_USERNAME:$WEBDAV_PASSWORD" -X DELETE "$url/prove"
  say "prove OK"
}
do_down() { stop_all; wipe; }
fz_main "$@"
