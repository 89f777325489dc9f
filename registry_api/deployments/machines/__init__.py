# SPDX-License-Identifier: Apache-2.0
"""The machines on which workers keep instances: which are there, and which are not heard of any more."""
