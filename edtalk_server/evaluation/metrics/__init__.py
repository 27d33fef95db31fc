"""How far one picture is from another."""
