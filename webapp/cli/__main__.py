"""`python -m webapp.cli` is `servicedesk`."""

from webapp.cli import main

main(prog_name="servicedesk")
