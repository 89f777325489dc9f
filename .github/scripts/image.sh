#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds one target of deploy/compose/Containerfile, pushes and signs it, and writes image=REPOSITORY@DIGEST.
# Needs OWNER, REVISION, a login at ghcr.io and cosign. What is signed is the index, so SBOM and provenance are signed too.
set -eu -o pipefail
target=$1
repository="ghcr.io/${OWNER,,}/furoshiki-$target"
metadata=$(mktemp)
docker buildx build --file deploy/compose/Containerfile --target "$target" --platform linux/amd64 \
  --provenance=mode=max --sbom=true --label "org.opencontainers.image.revision=$REVISION" \
  --tag "$repository:sha-$REVISION" --push --metadata-file "$metadata" . >&2
digest=$(jq --raw-output '."containerimage.digest"' "$metadata")
[[ $digest =~ ^sha256:[0-9a-f]{64}$ ]] || { echo "no digest in what buildx wrote" >&2; exit 1; }
cosign sign --yes --recursive "$repository@$digest" >&2
echo "image=$repository@$digest"
