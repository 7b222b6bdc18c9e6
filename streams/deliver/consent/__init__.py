"""Consent: what each person said, by channel and event time, and what of it Klaviyo must be told."""
