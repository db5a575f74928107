"""`python -m newsletter_bot` is the same as the installed command."""

from newsletter_bot.cli import main

if __name__ == "__main__":
    main()
