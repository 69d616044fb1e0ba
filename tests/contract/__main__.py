"""Writes anew what comes from the types, after one has changed: python -m tests.contract."""

from tests.contract import shape
from tests.contract.page import PAGE, with_tables

PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
shape.write()
