"""`make bench`: what the program costs, measured from outside, beside a naive chain and beside paho alone."""
