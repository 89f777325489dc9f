#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs Debian packages that are not there yet: as root or through sudo; otherwise names them and stops.
set -eu
missing=()
for package in "$@"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ]; then elevate=(); elif sudo -n true 2>/dev/null; then elevate=(sudo); else
  echo "These Debian packages are needed: ${missing[*]}. Install them: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing Debian packages: ${missing[*]}"
"${elevate[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${elevate[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
