"""Test subjects: rendered people and real clips."""
