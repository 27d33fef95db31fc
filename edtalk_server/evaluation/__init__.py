"""How good a bundle is: test subjects, measures and reports.

Rule of this package: it stands above training, and only the CLI imports it. Rooms build on each other in this order:
`metrics` (numbers of two pictures), `people` (test subjects), `measures` (numbers of one model), `meaning` (what the
weights of a bundle do). `golden` and `speed` stand apart.
"""
