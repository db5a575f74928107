#!/bin/sh
# Installs what the tests need beside Python, where it is missing and where we may (as root).
# Chromium (browser tests), Java and npm (the HTML validator vnu-jar; mailauth and mailparser, which
# verify and read our mail; axe-core, which looks over pages), Postfix's smtp-sink (bench), Dovecot
# (mailboxes; tests of it are skipped where it is missing).
set -eu
cd "$(dirname "$0")/.."

wanted=""
command -v chromium >/dev/null || wanted="$wanted chromium"
command -v java >/dev/null || wanted="$wanted default-jre-headless"
command -v npm >/dev/null || wanted="$wanted npm"
command -v smtp-sink >/dev/null || [ -x /usr/sbin/smtp-sink ] || wanted="$wanted postfix"
command -v wrk >/dev/null || wanted="$wanted wrk"
command -v dovecot >/dev/null || [ -x /usr/sbin/dovecot ] ||
    wanted="$wanted dovecot-imapd dovecot-pop3d"
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || wanted="$wanted nginx-light"
if [ -n "$wanted" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "The tests need:$wanted. Install them: sudo apt-get install$wanted" >&2
        exit 1
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of names, each its own word
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null
fi

VNU=26.9.27
jar=.tools/node_modules/vnu-jar/build/dist/vnu.jar
if [ ! -f "$jar" ] || ! grep -q "\"version\": \"$VNU\"" .tools/node_modules/vnu-jar/package.json; then
    npm install --silent --no-fund --no-audit --prefix .tools "vnu-jar@$VNU" >/dev/null
fi

# Verifies DKIM and DMARC, and reads messages, without a line of ours or of Python's.
MAILAUTH=7.1.0
MAILPARSER=3.14.2
modules=.tools/node_modules
if ! grep -qs "\"version\": \"$MAILAUTH\"" $modules/mailauth/package.json ||
    ! grep -qs "\"version\": \"$MAILPARSER\"" $modules/mailparser/package.json; then
    npm install --silent --no-fund --no-audit --prefix .tools \
        "mailauth@$MAILAUTH" "mailparser@$MAILPARSER" >/dev/null
fi

# Looks over pages for what people who see or hear them otherwise would stumble on.
AXE=4.14.1
if ! grep -qs "\"version\": \"$AXE\"" $modules/axe-core/package.json; then
    npm install --silent --no-fund --no-audit --prefix .tools "axe-core@$AXE" >/dev/null
fi
