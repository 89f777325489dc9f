# SPDX-License-Identifier: Apache-2.0
"""The base images under every Bento: made of Debian packages without running any of their code."""
