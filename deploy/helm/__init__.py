# SPDX-License-Identifier: Apache-2.0
"""The Helm chart, its profiles, and what is generated from them: ``python -m deploy.helm``."""
