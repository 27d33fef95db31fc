"""Speed of the parts on this machine."""
