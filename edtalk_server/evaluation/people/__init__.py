"""Whom models are judged on: rendered people and real clips."""
