"""What directions and generators really do: scorers, measured effects, names made from them, and reports."""
