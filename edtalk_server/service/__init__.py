"""The ZeroMQ side of the server: transport, jobs, scheduling, limits, authentication. docs/protocol.md is normative.

Rule of this package: one thread owns all sockets and all bookkeeping and never waits for work; worker threads do the
work, a step at a time. Policies (who is next, how fast, who is gone) are plain values that get the time as an argument.
"""
