#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Refuses images that were not signed by the workflow "images" of this repository, or lack SBOM or provenance. Needs REPOSITORY.
set -eu -o pipefail
for image in "$@"; do
  cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com \
    --certificate-identity-regexp "^https://github\.com/$REPOSITORY/\.github/workflows/images\.yml@refs/(heads/main|tags/v.+)$" \
    "$image" > /dev/null
  for part in SBOM Provenance; do
    [ "$(docker buildx imagetools inspect "$image" --format "{{ json .$part }}" | jq length)" -gt 0 ] \
      || { echo "$image has no $part" >&2; exit 1; }
  done
  echo "verified $image"
done
