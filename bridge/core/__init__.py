"""The pure middle: values and functions on them. No I/O, no clock, no third-party package."""
