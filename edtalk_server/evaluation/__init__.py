"""How well a bundle does: people to judge on, measures, and reports. Above training; only the CLI imports it."""
