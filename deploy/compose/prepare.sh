#!/bin/sh
# Makes the secrets that compose.yaml names, once; overwrites nothing. Run it as root, since each
# file belongs to the user of the container that reads it.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
for name in store-password store.pgpass grafana-password; do
    if [ -e "secrets/$name" ]; then
        echo "prepare: secrets/$name exists already; nothing was changed." >&2
        exit 1
    fi
done
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
random >secrets/store-password
random >secrets/grafana-password
printf 'store:5432:accode:accode:%s\n' "$(cat secrets/store-password)" >secrets/store.pgpass
# The users of PostgreSQL's, the proxy's and Grafana's images.
chown 999 secrets/store-password
chown 10001 secrets/store.pgpass
chown 472 secrets/grafana-password
chmod 0400 secrets/*
