"""Who is owed an issue: plans, newcomers, links, tests of subjects."""
