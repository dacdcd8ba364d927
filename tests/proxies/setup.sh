#!/usr/bin/env bash
# Installs the proxies that the recipes in packaging/ are for, as Debian has them, and openssl, which makes
# their certificate. Run it again at will.
set -euo pipefail

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing=()
for name in nginx caddy haproxy openssl; do
  PATH="$PATH:/usr/sbin" command -v "$name" >/dev/null || missing+=("$name")
done
if [ "${#missing[@]}" -gt 0 ]; then
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
