#!/usr/bin/env bash
# Installs the peers that come from Debian and npm and are missing here. Run it again at will.
# A peer that is not installed is left out of the comparison, by name.
set -euo pipefail
cd "$(dirname "$0")"

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

missing=()
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing+=(nginx libnginx-mod-nchan)
command -v pushpin >/dev/null || missing+=(pushpin)
command -v npm >/dev/null || missing+=(nodejs npm)
if [ "${#missing[@]}" -gt 0 ]; then
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
  if [ -d /run/systemd/system ]; then
    echo "Debian starts what it installs; the comparison starts its own and needs none of these:"
    echo "  systemctl disable --now nginx pushpin zurl"
  fi
fi

(cd peers/node && npm ci --no-audit --no-fund)
