# SPDX-License-Identifier: Apache-2.0
"""The same models served by others, each as its own documentation recommends.

Every module but the ones for BentoML and gRPC's echo runs in an environment of its own (``deploy/locks/peers-*.in``), so it
imports nothing of this repository but :mod:`loadtests.peers.session`, which needs onnxruntime and numpy alone. A peer learns
the model's file from the variable ``MODEL``.
"""
