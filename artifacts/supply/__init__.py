# SPDX-License-Identifier: Apache-2.0
"""Where an image comes from: what it holds (SBOM), how it was made (provenance), who says so, and the check of all of it."""
