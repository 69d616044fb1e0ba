"""The simulated PBX: speaks the vendor's wire format with its own words and shares no decoding code."""
