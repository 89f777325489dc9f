#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Resolves the .in files of this folder into .txt locks with uv. dev.txt is resolved first and constrains the others, so that
# all environments agree; clients.txt, onnx2tf.txt and peers-*.txt stand alone, as nothing of ours is in their environments.
# Elsewhere torch is never recorded: its CPU build is not on the default index (see the Makefile). Every file that may be
# installed is named by its SHA-256: pip takes no other, whatever an index answers.
set -eu
uv=$(realpath "$1")
python=$(dirname "$uv")/python
cd "$(dirname "$0")"
export UV_FIND_LINKS="${PIP_FIND_LINKS:-}"
block() { printf '/^(%s)/,/[^\\]$/d' "$1"; } # for sed: the packages whose names begin so, each with its hashes
cuda=$(block "nvidia|cuda|triton") # what only torch's CUDA build needs
compile() { "$uv" pip compile --quiet --upgrade --generate-hashes --python-version 3.11 --no-annotate --no-header --no-emit-index-url --no-emit-find-links "$@"; }
compile dev.in -o dev.txt
for name in serving serving-cuda serving-litert registry kubernetes demo fuzz gpu release; do compile -c dev.txt "$name.in" -o "$name.txt"; done
compile -c dev.txt serving-tensorflow.in -o serving-tensorflow.txt --override converters.override
sed -E "$(block numpy==)" dev.txt | compile -c - serving-tflite-runtime.in -o serving-tflite-runtime.txt --override serving-tflite-runtime.override
compile -c dev.txt serving-torch.in -o serving-torch.txt # the only lock that names torch: a Bento is installed from it alone
sed -i -E "$cuda" serving-torch.txt
compile -c dev.txt full.in -o full.txt --no-emit-package torch
sed -i -E "$cuda" full.txt
compile -c dev.txt converters.in -o converters.txt --no-emit-package torch --override converters.override
sed -i -E "$cuda" converters.txt
compile -c dev.txt edge.in -o edge.txt
compile onnx2tf.in -o onnx2tf.txt
compile clients.in -o clients.txt
for name in triton mlserver litserve ray; do compile "peers-$name.in" -o "peers-$name.txt"; done
"$python" linux.py "$uv" *.txt
for wheel in "${PIP_FIND_LINKS:?a folder with the CPU build of torch}"/torch-*+cpu-cp311-*.whl; do
  sed -i "s/^torch==.*/&\n    --hash=sha256:$(sha256sum <"$wheel" | cut -d' ' -f1) \\\\/" serving-torch.txt
done
