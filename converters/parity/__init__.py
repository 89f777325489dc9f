# SPDX-License-Identifier: Apache-2.0
"""Whether a converted model still is the model it was made from: runs both, measures, judges, draws."""
