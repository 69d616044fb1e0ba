"""The contract with the consumers on the bus, for programs: JSON Schemas, an AsyncAPI document, tables.

All of it is made from the types of the payloads and the table of verbs, which the bridge itself uses.
"""
