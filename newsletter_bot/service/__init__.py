"""The bot as a service: web, ticker and sender in one process, or in several."""
