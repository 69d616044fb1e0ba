"""Writes the tables of docs/topics.md anew: python -m tests.contract."""

from tests.contract.page import PAGE, with_tables

PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
