"""Faust in batches: transport, transactions, stores, restore, registry, topics."""
