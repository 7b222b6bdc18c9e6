"""The whole line on one machine: broker and registry, dev, demo, traffic."""
