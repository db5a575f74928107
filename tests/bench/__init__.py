"""`make bench`: the figures of docs/performance.md, each with the competing thing beside it."""
