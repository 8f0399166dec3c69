#!/usr/bin/env bash
# moto: an S3 endpoint on loopback that keeps versions and enforces object lock and, with
# MOTO_POLICY=1, the policies of its users.
#   MOTO_PORT=15000   MOTO_VENV=DIR  where it is installed, if no python3 at hand has it
#   MOTO_POLICY=1     two users: one who may do everything, and one who may add and read
#                     (MOTO_ADDER_…); nobody else may do anything
FZ_SCRIPT=moto
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
MOTO_PORT=${MOTO_PORT:-15000}; MOTO_POLICY=${MOTO_POLICY:-}; MOTO_VERSION=5.2.1
VENV=${MOTO_VENV:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/freezer-test-moto-$MOTO_VERSION}
has_it() { "$1" -c 'import moto.server, flask_cors' 2>/dev/null; }
python() {
  local p; for p in python3 "$VENV/bin/python"; do if has_it "$p"; then echo "$p"; return; fi; done
  return 1
}
do_deps() {
  apt_need curl procps
  python >/dev/null && return
  apt_need python3-venv
  python3 -m venv "$VENV" \
    && "$VENV/bin/pip" install -q "moto[server,s3,iam]==$MOTO_VERSION" >>"$DIR/log/pip.log" 2>&1 \
    || { tail "$DIR/log/pip.log" >&2; die "pip install moto"; }
}
do_up() {
  do_deps
  local py; py=$(python) || die "moto is not there"
  if running moto && [ -f "$DIR/settings.env" ]; then say "already up"; show_env; return; fi
  stop_all; port_free "$MOTO_PORT"
  # Its check of signatures takes a query with an escaped slash for another one, as every listing of
  # ours has: policies are checked without it.
  cat >"$DIR/etc/serve.py" <<'P'
import sys
from moto.iam import access_control
access_control.IAMRequestBase.check_signature = lambda self: None
from moto.server import main
main(sys.argv[1:])
P
  # Requests before policies hold: those that make the users.
  [ -z "$MOTO_POLICY" ] || export INITIAL_NO_AUTH_ACTION_COUNT=8
  start moto "$py" "$DIR/etc/serve.py" -H "$FZ_HOST" -p "$MOTO_PORT"
  wait_port moto "$MOTO_PORT"
  local url=http://$FZ_HOST:$MOTO_PORT
  { printf 'S3_ENDPOINT=%s\nS3_REGION=us-east-1\nMOTO_PYTHON=%s\n' "$url" "$py"
    if [ -z "$MOTO_POLICY" ]; then printf 'S3_ACCESS_KEY=fzaccess\nS3_SECRET_KEY=fzsecretkey\n'
    else "$py" - "$url" <<'P'
import boto3, json, sys
with_keys = dict(endpoint_url=sys.argv[1], region_name='us-east-1',
                 aws_access_key_id='first', aws_secret_access_key='first')
iam, s3 = boto3.client('iam', **with_keys), boto3.client('s3', **with_keys)
def user(name, actions, prefix):
    iam.create_user(UserName=name)
    statement = {'Effect': 'Allow', 'Action': actions, 'Resource': '*'}
    policy = {'Version': '2012-10-17', 'Statement': [statement]}
    iam.put_user_policy(UserName=name, PolicyName='it', PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)['AccessKey']
    print('%s_ACCESS_KEY=%s' % (prefix, key['AccessKeyId']))
    print('%s_SECRET_KEY=%s' % (prefix, key['SecretAccessKey']))
user('all', ['s3:*'], 'S3')
user('adder', ['s3:GetObject', 's3:PutObject', 's3:ListBucket'], 'MOTO_ADDER')
s3.create_bucket(Bucket='to-add-to')
s3.put_bucket_versioning(Bucket='to-add-to', VersioningConfiguration={'Status': 'Enabled'})
print('MOTO_BUCKET=to-add-to')
P
    fi; } | settings
  show_env
}
do_prove() { # a lock is enforced, and its end too
  . "$DIR/settings.env"
  "$MOTO_PYTHON" - "$S3_ENDPOINT" "$S3_ACCESS_KEY" "$S3_SECRET_KEY" <<'P'
import boto3, datetime, sys, time
c = boto3.client('s3', endpoint_url=sys.argv[1], aws_access_key_id=sys.argv[2],
                 aws_secret_access_key=sys.argv[3], region_name='us-east-1')
c.create_bucket(Bucket='fz-prove', ObjectLockEnabledForBucket=True)
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
version = c.put_object(Bucket='fz-prove', Key='a', Body=b'x', ObjectLockMode='COMPLIANCE',
                       ObjectLockRetainUntilDate=until)['VersionId']
try:
    c.delete_object(Bucket='fz-prove', Key='a', VersionId=version)
    raise SystemExit('a lock was not enforced')
except c.exceptions.ClientError as e: print('locked:', e.response['Error']['Code'])
time.sleep(4); c.delete_object(Bucket='fz-prove', Key='a', VersionId=version)
c.delete_bucket(Bucket='fz-prove')
P
  say "prove OK"
}
do_down() { stop_all; wipe; }
fz_main "$@"
