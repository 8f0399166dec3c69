#!/usr/bin/env bash
# Azurite: Microsoft's own stand-in for Azure's blobs, on loopback, in memory.   AZURITE_PORT=15100
FZ_SCRIPT=azurite
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
AZURITE_PORT=${AZURITE_PORT:-15100}; AZURITE_VERSION=${AZURITE_VERSION:-3.35.0}
AZURITE_HOME=${AZURITE_HOME:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/freezer-test-azurite-$AZURITE_VERSION}
do_deps() {
  apt_need curl procps openssl
  command -v npm >/dev/null || apt_need npm
  [ -x "$AZURITE_HOME/node_modules/.bin/azurite-blob" ] && return
  mkdir -p "$AZURITE_HOME"
  npm install --prefix "$AZURITE_HOME" --no-audit --no-fund --silent "azurite@$AZURITE_VERSION" \
    >>"$DIR/log/npm.log" 2>&1 || { tail "$DIR/log/npm.log" >&2; die "npm install azurite"; }
}
do_up() {
  do_deps
  if running azurite && [ -f "$DIR/settings.env" ]; then say "already up"; show_env; return; fi
  stop_all; port_free "$AZURITE_PORT"
  local key; key=$(openssl rand -base64 48 | tr -d '\n')
  AZURITE_ACCOUNTS="fz:$key" start azurite "$AZURITE_HOME/node_modules/.bin/azurite-blob" \
    --inMemoryPersistence --skipApiVersionCheck \
    --blobHost "$FZ_HOST" --blobPort "$AZURITE_PORT" --silent
  wait_port azurite "$AZURITE_PORT" 60
  printf '%s\n' "AZURE_STORAGE_ACCOUNT=fz" "AZURE_STORAGE_KEY=$key" \
    "AZURE_STORAGE_ENDPOINT=http://$FZ_HOST:$AZURITE_PORT/fz" | settings
  make_container freezer
  show_env
}
make_container() { # signed by hand: there is nothing else that could make one
  python3 - "$DIR/settings.env" "$1" <<'P'
import base64, hashlib, hmac, sys, urllib.request
from email.utils import formatdate
settings = dict(line.rstrip('\n').split('=', 1) for line in open(sys.argv[1]))
account, key = settings['AZURE_STORAGE_ACCOUNT'], base64.b64decode(settings['AZURE_STORAGE_KEY'])
endpoint, name = settings['AZURE_STORAGE_ENDPOINT'], sys.argv[2]
date, version = formatdate(usegmt=True), '2021-12-02'
resource = '/%s/%s/%s\nrestype:container' % (account, account, name)
text = 'PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:%s\n%s' % (date, version, resource)
signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
url = '%s/%s?restype=container' % (endpoint, name)
request = urllib.request.Request(url, method='PUT', data=b'', headers={
    'x-ms-date': date, 'x-ms-version': version, 'Content-Type': '',
    'Authorization': 'SharedKey %s:%s' % (account, signature)})
print('made', name, urllib.request.urlopen(request).status, file=sys.stderr)
P
}
do_prove() { . "$DIR/settings.env"; make_container "prove-$RANDOM"; say "prove OK"; }
do_down() { stop_all; wipe; }
fz_main "$@"
