# SPDX-License-Identifier: Apache-2.0
"""What jobs make of a variant: builds, images, tunings, conversions. What all of them have in common is here, once."""
