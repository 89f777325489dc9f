# SPDX-License-Identifier: Apache-2.0
"""``Idempotency-Key``: a write that is sent again is not done again (draft-ietf-httpapi-idempotency-key-header-07).

What is guaranteed. The key is recorded in the very transaction that has the effect: of any number of requests with one
key, at any time, in any process, at most one commits; the others find the record and roll back. The answer is kept in a
second, short transaction before it is sent. A process killed between the two has done the work and lost the answer: a repeat
is told so (``IDEMPOTENCY_003``), except where doing it again gives the same answer (``PUT``, completing an upload). A request
that fails leaves no record: its repeat is a first request. An answer that holds a secret is never kept.

Keys belong to a tenant and a route, and to the caller who used them first.
"""
