# SPDX-License-Identifier: Apache-2.0
"""Says that a version is not to be used any more, and until when it is served."""
