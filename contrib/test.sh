#!/bin/sh
# Run the tests: install the system's part of what they need where that is possible, say what is left out
# where it is not. With CI=true nothing may be left out.
#
# usage: contrib/test.sh PYTEST [ARGUMENT...]
set -eu

missing=""
left_out=""
need() { # need PROGRAM MARK PACKAGE...
    program=$1 mark=$2
    shift 2
    PATH="$PATH:/usr/sbin:/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')" command -v "$program" >/dev/null 2>&1 && return
    missing="$missing $*"
    left_out="${left_out:+$left_out and }not $mark"
}
look() {
    missing="" left_out=""
    need dovecot dovecot dovecot-imapd dovecot-lmtpd
    need chromium browser chromium
    need npm identity_provider nodejs npm
    need strace strace strace
    need initdb postgres postgresql
}

look
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing what the tests need:$missing"
    # A package's own service must not start: the tests start their own Dovecot on ports of their own.
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    if ! { apt-get update -q && apt-get install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log"
    fi
    rm -f "$log"
    look
fi
if [ -n "$missing" ]; then
    echo "Tests left out ($left_out). To run them too: sudo apt-get install$missing"
    if [ "${CI:-}" = true ]; then
        echo "With CI=true nothing may be left out."
        exit 1
    fi
    exec "$@" -m "$left_out"
fi
exec "$@"
