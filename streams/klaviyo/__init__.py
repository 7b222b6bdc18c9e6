"""Klaviyo's API: requests, replies, budgets, revision."""
